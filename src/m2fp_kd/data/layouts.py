"""Folder layouts: which files belong together, as sorted lists of records; every gap is an error that names it."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from m2fp_kd.runtime.files import PHOTO_SUFFIXES, file_sha256, find_photos

SPLITS = ("Training", "Validation", "Testing")

FOLDERS = {"image": "Images", "categories": "Category_ids", "persons": "Human_ids", "instances": "Instance_ids"}
"""Field of a `Record` -> folder of its files in M2FP's layout."""

ROOT = "data.root"
"""Option that names the folder of a layout."""

HELD_OUT = ("Testing", "Validation")
"""Splits to evaluate on, in order of preference."""


class LayoutError(FileNotFoundError):
    """A data folder that is missing, empty or has gaps."""


@dataclass(frozen=True)
class Record:
    """The files of one photo.

    Attributes:
        name: file name without its extension; unique within a split.
        image: file of the photo.
        categories: file of the part map, None if the photo is unlabelled.
        persons: file of the person ids, None if the data set has none.
        instances: file of the part-instance ids, None if the data set has none.
    """

    name: str
    image: Path
    categories: Path | None = None
    persons: Path | None = None
    instances: Path | None = None


def m2fp_records(root: str | Path, split: str) -> list[Record]:
    """List the records of `root/split/{Images,Category_ids[,Human_ids,Instance_ids]}`, M2FP's own layout.

    Raises:
        ValueError: the split is unknown.
        LayoutError: a folder is missing or empty, or photos and labels do not match one to one.
    """
    if split not in SPLITS:
        raise ValueError(f"M2FP's layout has no split '{split}'; choose one of {', '.join(SPLITS)}")
    folder = Path(root) / split
    photos, *map_fields = FOLDERS
    images = _files(folder / FOLDERS[photos], PHOTO_SUFFIXES)
    maps: dict[str, dict[str, Path]] = {}
    for field in map_fields:
        of_maps = folder / FOLDERS[field]
        if field == "categories" or of_maps.is_dir():
            maps[field] = _files(of_maps, {".png"})
            _match(images, maps[field], folder / FOLDERS[photos], of_maps)
    return [
        Record(stem, path, **{field: found[stem] for field, found in maps.items()}) for stem, path in images.items()
    ]


def ccp_records(root: str | Path) -> list[Record]:
    """List the records of Clothing Co-Parsing in its own layout: `photos/`, `annotations/{pixel,image}-level/`.

    Photos with image-level tags only become unlabelled records; a photo without any annotation is an error.

    Raises:
        LayoutError: a folder is missing or empty, or photos and annotations do not match.
    """
    root = Path(root)
    images = _files(root / "photos", PHOTO_SUFFIXES)
    pixels = _files(root / "annotations" / "pixel-level", {".mat"})
    tags_folder = root / "annotations" / "image-level"
    tags = _files(tags_folder, {".mat"}) if tags_folder.is_dir() else {}
    _match(images, pixels | tags, root / "photos", root / "annotations")
    return [Record(stem, path, pixels.get(stem)) for stem, path in images.items()]


def photo_records(root: str | Path, setting: str = ROOT) -> list[Record]:
    """List unlabelled records of all photos in a folder and below it, without hidden ones.

    A photo in a subfolder is named with its path from the folder, such as ``summer/beach``.

    Args:
        root: the folder.
        setting: option that the error message tells the user to check.

    Raises:
        LayoutError: the folder is missing or has no photo.
    """
    folder = Path(root)
    _require_folder(folder, setting)
    named = [(path.relative_to(folder).with_suffix("").as_posix(), path) for path in find_photos(folder)]
    return [Record(name, path) for name, path in _once(folder, named, PHOTO_SUFFIXES, setting).items()]


def data_sha256(records: Sequence[Record]) -> str | None:
    """Return one hash of all files' bytes, which identifies the data of a run exactly; None without records."""
    total = hashlib.sha256()
    for record in records:
        for path in (record.image, record.categories, record.persons, record.instances):
            total.update(file_sha256(path).encode() if path else b"-")
    return total.hexdigest() if records else None


def split_records(records: Sequence[Record], held_out: float = 0.1, seed: int = 0) -> tuple[list[Record], list[Record]]:
    """Split records into (train, held out) by the photos' names, `held_out` and `seed` only.

    Args:
        records: photos to split.
        held_out: share to hold out, below 1: adding or removing photos moves no other photo to the other side. From 1
            on, the number of photos to hold out.
        seed: seed of the choice.

    Raises:
        ValueError: a side would be empty.
    """
    if held_out >= 1:
        order = sorted(records, key=lambda record: _name_hash(record.name, seed))
        chosen = {record.name for record in order[: int(held_out)]}
    else:
        chosen = {record.name for record in records if _name_hash(record.name, seed) < held_out}
    kept = [record for record in records if record.name not in chosen]
    if not chosen or not kept:
        raise ValueError(
            f"holding out {held_out:g} of {len(records)} photos leaves one side empty; add photos, or give a share "
            "between 0 and 1 or a smaller number (+data.splits.held_out=2)"
        )
    return kept, [record for record in records if record.name in chosen]


def limit_records(records: Sequence[Record], limit: int | None, seed: int = 0) -> list[Record]:
    """Return the first `limit` records after a shuffle by `seed`, ordered by name; all records if `limit` is None."""
    if limit is None or limit >= len(records):
        return list(records)
    if limit < 1:
        raise ValueError(f"limit={limit} leaves no photo; give 1 or more, or null for all")
    chosen = np.random.default_rng(seed).permutation(len(records))[:limit]
    return [records[index] for index in sorted(chosen)]


def take_labels(records: Sequence[Record], fraction: float | None) -> tuple[list[Record], list[Record]]:
    """Split records into (labelled, withheld): a `fraction` of the photos keeps its labels, all of them if it is None.

    The choice depends on the names only: it is the same in every run, and a larger fraction contains a smaller one.
    """
    if fraction is None:
        return list(records), []
    if not 0 < fraction <= 1:
        raise ValueError(f"label_fraction={fraction} must be above 0 and at most 1, or null for all labels")
    order = sorted(records, key=lambda record: _name_hash(record.name, seed=2))
    keep = {record.name for record in order[: max(1, round(fraction * len(records)))]}
    labelled = [record for record in records if record.name in keep]
    return labelled, [Record(record.name, record.image) for record in records if record.name not in keep]


def shuffled_by_name(records: Sequence[Record]) -> list[Record]:
    """Return records in an order that depends on their names only and mixes photos of neighbouring names."""
    return sorted(records, key=lambda record: _name_hash(record.name, seed=3))


def _name_hash(name: str, seed: int) -> float:
    """Hash a name to a number that is uniform in [0, 1)."""
    digest = hashlib.sha256(f"{seed}/".encode() + os.fsencode(name)).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _files(folder: Path, suffixes: Iterable[str]) -> dict[str, Path]:
    """Map stem to path for the folder's files with one of these suffixes, sorted by stem, without hidden files."""
    _require_folder(folder, ROOT)
    named = [
        (path.stem, path)
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    ]
    return _once(folder, named, suffixes, ROOT)


def _require_folder(folder: Path, setting: str) -> None:
    if not folder.is_dir():
        raise LayoutError(f"data folder {folder} does not exist; check {setting}")


def _once(folder: Path, named: Iterable[tuple[str, Path]], suffixes: Iterable[str], setting: str) -> dict[str, Path]:
    """Map name to path, sorted by name; raise if a name occurs twice, or if there is none."""
    found: dict[str, Path] = {}
    for name, path in named:
        if name in found:
            raise LayoutError(f"{folder} has both {found[name].name} and {path.name}; keep one of them")
        found[name] = path
    if not found:
        raise LayoutError(f"data folder {folder} has no {'/'.join(sorted(suffixes))} file; check {setting}")
    return dict(sorted(found.items()))


def _match(images: dict[str, Path], maps: dict[str, Path], image_folder: Path, map_folder: Path) -> None:
    """Raise unless both sides have the same stems; the message names the first few without a counterpart."""
    gaps = []
    for unmatched, folder, other in (
        (images.keys() - maps.keys(), image_folder, map_folder),
        (maps.keys() - images.keys(), map_folder, image_folder),
    ):
        if unmatched:
            names = ", ".join(sorted(unmatched)[:5]) + (", ..." if len(unmatched) > 5 else "")
            gaps.append(f"{len(unmatched)} in {folder} without a counterpart in {other}: {names}")
    if gaps:
        raise LayoutError("photos and labels do not match; add or remove these files. " + "; ".join(gaps))


def held_out_split(root: Path) -> str:
    """Return the split that was not trained on.

    Raises:
        FileNotFoundError: the folder has none.
    """
    for split in HELD_OUT:
        if (root / split).is_dir():
            return split
    raise FileNotFoundError(f"{root} has neither {' nor '.join(HELD_OUT)}; is it a data set in M2FP's layout?")


def held_out_records(root: Path, limit: int | None = None) -> list[Record]:
    """List the photos to evaluate on: the whole held-out split, or a fixed choice of `limit` photos."""
    return limit_records(m2fp_records(root, held_out_split(root)), limit)
