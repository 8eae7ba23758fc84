"""The folder of labels: M2FP's layout, the settings that made it, and what is done.

::

    DIR/autolabel.json                  settings and progress
    DIR/Training/Images/NAME.jpg        copy of the photo
    DIR/Training/Category_ids/NAME.png  part index per pixel, the label set's ignore index below the confidence
    DIR/Training/Human_ids/NAME.png     person id, 0 = no person; with persons only
    DIR/Training/Confidence/NAME.png    255 x the probability of the most probable part, rounded

NAME is the photo's path below the labelled folder, with ``__`` for every separator. Photos that would share a name keep
their endings in it and, where that is not enough, get a hash of the path; long names are shortened.
"""

import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from m2fp_kd.autolabel.answer import Answer
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.files import atomic_path, find_photos, write_index_png
from m2fp_kd.runtime.geometry import is_upright
from m2fp_kd.runtime.label_origin import ORIGIN
from m2fp_kd.runtime.names import distinct, short_hash, shortened

FORMAT = 1
SPLIT = "Training"
SEPARATOR = "__"
LONGEST_END = len(".jpeg")
"""Bytes of the longest usual ending of a photo's or label's file."""

FOR_PEOPLE = ("name", "licence", "data")
"""Facts about a model that do not change its answers."""


@dataclass(frozen=True)
class Settings:
    """Settings that decide the labels of a photo.

    Attributes:
        photos: folder of the photos.
        model: facts about the model, see `Labeller`.
        labels: label set.
        ignore_below: confidence below which a pixel is not labelled, 0..1.
        persons: whether persons are numbered.
    """

    photos: Path
    model: Mapping[str, Any]
    labels: LabelSet
    ignore_below: float
    persons: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON writes them."""
        plain = dict(vars(self)) | {"model": dict(self.model), "labels": self.labels.to_dict()}
        return plain | {"photos": str(self.photos.resolve())}


def find_sources(photos: Path, output: Path) -> dict[str, Path]:
    """Find the photos to label: name in the output folder -> file, in order.

    Args:
        photos: folder, searched with its subfolders.
        output: folder of the labels; photos in it are left out.

    Raises:
        FileNotFoundError: there is no such folder, or it has no photo.
        ValueError: the folder lies in the output folder.
    """
    if not photos.is_dir():
        raise FileNotFoundError(f"{photos}: no such folder")
    target = output.resolve()
    if photos.resolve().is_relative_to(target):
        raise ValueError(f"{photos} lies in the output folder {output}; choose another output folder")
    files = [file for file in find_photos(photos) if not Path(os.path.realpath(file)).is_relative_to(target)]
    if not files:
        raise FileNotFoundError(f"no photos in {photos}")
    names = distinct({file: _names(file.relative_to(photos)) for file in files})
    return {name: file for file, name in names.items()}


def _names(path: Path) -> list[str]:
    """Return the names that a photo may get, by its path below the labelled folder; best first."""
    names = [SEPARATOR.join(parts) for parts in (path.with_suffix("").parts, path.parts)]
    return [shortened(name, LONGEST_END) for name in (*names, f"{names[-1]}-{short_hash(str(path))}")]


class LabelFolder:
    """A folder of labels that one or several calls fill.

    Args:
        root: folder, new or of earlier calls with the same settings.
        settings: what decides the labels.

    Raises:
        ValueError: the folder holds labels of other settings, or data that no call wrote.
    """

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.settings = settings
        self._require_same_settings()

    def _require_same_settings(self) -> None:
        path = self.root / ORIGIN
        if not path.is_file():
            if (self.root / SPLIT).exists():
                raise ValueError(f"{self.root / SPLIT} holds data without {ORIGIN}; choose another output folder")
            return
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            if before["format"] != FORMAT:
                raise ValueError(f"has format {before['format']}, this version reads format {FORMAT}")
            changed = _changes(before["settings"], self.settings.to_dict())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not valid ({error}); choose another output folder") from error
        if changed:
            raise ValueError(
                f"{self.root} holds labels of other settings ({'; '.join(changed)}); "
                "repeat its settings, or choose another output folder"
            )

    def done(self, name: str) -> bool:
        """Return whether a photo is labelled; later corrections of its label do not matter."""
        return self._path("Category_ids", name).is_file()

    def strays(self, sources: Collection[str]) -> list[str]:
        """Return the names of labels that belong to none of the photos, in order."""
        labels = (self.root / SPLIT / "Category_ids").glob("*.png")
        return sorted(path.stem for path in labels if path.stem not in sources)

    def write(self, name: str, source: Path, photo: np.ndarray, answer: Answer) -> None:
        """Write the files of one photo, its label last.

        A photo is copied byte for byte. One that its EXIF orientation turns is stored upright, so that it matches its
        label in programs that ignore EXIF too.

        Args:
            name: name of the files.
            source: file of the photo.
            photo: its pixels, uint8 (H, W, 3), upright.
            answer: its labels.
        """
        settings, ignored = self.settings, self.settings.labels.ignore_index
        with atomic_path(self._path("Images", name, source.suffix.lower())) as temporary:
            if is_upright(source):
                shutil.copyfile(source, temporary)
            else:
                Image.fromarray(photo).save(temporary, quality=95, subsampling=0)
        _write_grey(self._path("Confidence", name), np.rint(255 * answer.confidence).astype(np.uint8))
        if answer.persons is not None:
            _write_grey(self._path("Human_ids", name), answer.persons)
        label = answer.labels(settings.ignore_below, ignored)
        write_index_png(self._path("Category_ids", name), label, settings.labels)

    def save(self, sources: Collection[str], failed: Collection[str]) -> None:
        """Write the settings and the progress.

        Args:
            sources: names of all photos.
            failed: names of the photos that could not be read.
        """
        labelled = sum(self.done(name) for name in sources)
        progress = {"photos": len(sources), "labelled": labelled, "failed": sorted(failed)}
        content = {"format": FORMAT, "settings": self.settings.to_dict(), "progress": progress}
        with atomic_path(self.root / ORIGIN) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def _path(self, folder: str, name: str, suffix: str = ".png") -> Path:
        return self.root / SPLIT / folder / f"{name}{suffix}"


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what differs between two settings, one phrase each."""
    old, new = map(_deciding, (before, after))
    differ = [key for key in sorted(set(old) | set(new)) if old.get(key) != new.get(key)]
    return [f"{key.replace('_', ' ')}: {_short(old.get(key))}, not {_short(new.get(key))}" for key in differ]


def _deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by name without the facts about the model that are for people."""
    model = {f"model {key}": value for key, value in settings["model"].items() if key not in FOR_PEOPLE}
    return {key: value for key, value in settings.items() if key != "model"} | model


def _short(value: Any) -> str:
    """Return a value as a message shows it: a label set by name and number of parts, a hash by its beginning."""
    if isinstance(value, Mapping) and "parts" in value:
        return f"{value.get('name')} ({len(value.get('parts', ()))} parts)"
    return f"{value[:12]}…" if isinstance(value, str) and len(value) == 64 else str(value)


def _write_grey(path: Path, values: np.ndarray) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(values).save(temporary, format="PNG")
