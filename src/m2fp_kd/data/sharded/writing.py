"""Pack a data set in M2FP's layout into tar shards."""

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from m2fp_kd.data.checking import check_photos
from m2fp_kd.data.layouts import Record, shuffled_by_name
from m2fp_kd.data.sharded.index import NAME, ShardFacts, ShardIndex
from m2fp_kd.data.sharded.tar_file import MAPS, TARGETS, ending, key
from m2fp_kd.data.sharded.urls import ShardError
from m2fp_kd.data.splits import HOLDOUT, HOLDOUT_FRACTION, m2fp_splits
from m2fp_kd.data.teacher_cache import TeacherCache
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.disk import require_space
from m2fp_kd.runtime.files import atomic_path, file_sha256, text_sha256
from m2fp_kd.runtime.label_origin import label_models

CHECKED = ".checked.json"
"""File in the folder of the shards with the findings of the checks, so that a stopped call does not repeat them."""


@dataclass(frozen=True)
class Plan:
    """The shards to pack.

    Attributes:
        shards: file name -> its photos.
        megabytes: size of the photos and maps in the shards, 10^6 bytes.
        made_from: hash of the files' names and sizes and of the options.
    """

    shards: Mapping[str, Sequence[Record]]
    megabytes: float
    made_from: str

    @property
    def photos(self) -> int:
        """Number of photos."""
        return sum(map(len, self.shards.values()))


def plan(root: Path, megabytes: float, held_out: float = HOLDOUT_FRACTION, cache: TeacherCache | None = None) -> Plan:
    """Divide the photos of a folder among shards `train-000000.tar`, `val-000000.tar` and `test-000000.tar`.

    Args:
        root: folder in M2FP's layout. Without `Validation`, a fixed choice of the training photos is held out, the one
            of `data=own`.
        megabytes: size of a shard, 10^6 bytes.
        held_out: share or number of the photos to hold out.
        cache: teacher's targets of the training photos.

    Raises:
        LayoutError: the folder lacks photos or labels.
    """
    val = "Validation" if (root / "Validation").is_dir() else HOLDOUT
    splits = m2fp_splits(root, val, "Testing" if (root / "Testing").is_dir() else None, held_out)
    shards: dict[str, list[Record]] = {}
    sizes = []
    for name, records in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
        photos = shuffled_by_name(records)  # type: ignore[arg-type]  # no drawn scenes
        sizes += [_bytes(record) for record in photos]
        for number, part in enumerate(_parts(photos, megabytes * 1e6)):
            shards[f"{name}-{number:06d}.tar"] = part
    names = {shard: [record.name for record in records] for shard, records in shards.items()}
    return Plan(shards, sum(sizes) / 1e6, text_sha256([names, sizes, cache.key if cache else None]))


def _parts(records: Sequence[Record], most: float) -> Iterator[list[Record]]:
    """Divide records into parts of at most `most` bytes, with one photo at least."""
    part: list[Record] = []
    size = 0
    for record in records:
        if part and size + _bytes(record) > most:
            yield part
            part, size = [], 0
        part.append(record)
        size += _bytes(record)
    if part:
        yield part


def _files(record: Record) -> dict[str, Path]:
    """Return the files of a photo by their endings in a shard."""
    maps = {end: path for name, end in MAPS.items() if (path := getattr(record, name)) is not None}
    return {ending(record.image.suffix): record.image, **maps}


def _bytes(record: Record) -> int:
    """Return the bytes of a photo's files in a tar, each with a header and filled up to whole blocks."""
    return sum(tarfile.BLOCKSIZE * (1 - -path.stat().st_size // tarfile.BLOCKSIZE) for path in _files(record).values())


def check_folder(folder: Path, planned: Plan, labels: LabelSet) -> ShardIndex:
    """Return the index of the shards that an earlier call has finished.

    Raises:
        ShardError: the folder has other files, or shards of other photos or options.
    """
    present = {path.name for path in folder.iterdir() if not path.name.startswith(".")} if folder.is_dir() else set()
    if not present:
        return ShardIndex({}, labels.parts, made_from=planned.made_from)
    if NAME in present:
        index = ShardIndex.from_json((folder / NAME).read_bytes(), str(folder / NAME))
        if (index.made_from, index.part_names) != (planned.made_from, labels.parts):
            raise ShardError(
                f"{folder} has shards of other photos, or made with other options; choose a new folder, or remove it"
            )
        present -= {NAME, *planned.shards}
    if present:
        raise ShardError(f"{folder} has other files, such as {min(present)}; choose a new folder")
    return index


def make(
    planned: Plan,
    folder: Path,
    labels: LabelSet,
    cache: TeacherCache | None = None,
    seen: Callable[[int], None] = lambda photos: None,
) -> ShardIndex:
    """Check all photos and labels, and write the shards that the folder lacks, each whole or not at all.

    Args:
        planned: result of `plan`.
        folder: folder of the shards; `shards.json` is completed after every shard.
        labels: label set of the maps.
        cache: teacher's targets of the training photos, to pack as well.
        seen: is called with the number of photos after each shard.

    Raises:
        ShardError: as in `check_folder`.
        OSError: the disk has no space for them.
        LabelError: photos or maps cannot be used.
        CacheError: a training photo has no target.
    """
    index = check_folder(folder, planned, labels)
    missing = [name for name in planned.shards if name not in index.shards or not _is_whole(folder / name, index)]
    records = [record for photos in planned.shards.values() for record in photos]
    require_space(folder, sum(_bytes(record) for name in missing for record in planned.shards[name]), "the shards")
    check_photos(records, labels, folder / CHECKED)
    models = tuple(label_models(record.categories for record in records if record.categories))
    facts = {name: found for name, found in index.shards.items() if name not in missing}
    for name, photos in planned.shards.items():
        if name in missing:
            facts[name] = _write(folder / name, photos, labels, cache if name.startswith("train-") else None)
            index = ShardIndex(_in_order(facts, planned), labels.parts, models, planned.made_from)
            write_index(folder / NAME, index)
        seen(len(photos))
    return index


def _in_order(facts: Mapping[str, ShardFacts], planned: Plan) -> dict[str, ShardFacts]:
    return {name: facts[name] for name in planned.shards if name in facts}


def write_index(path: Path, index: ShardIndex) -> None:
    """Write `shards.json`."""
    with atomic_path(path) as temporary:
        temporary.write_text(index.to_json())


def _is_whole(path: Path, index: ShardIndex) -> bool:
    return path.is_file() and path.stat().st_size == index.shards[path.name].bytes


def _write(path: Path, records: Sequence[Record], labels: LabelSet, cache: TeacherCache | None) -> ShardFacts:
    with atomic_path(path) as temporary:
        with tarfile.open(temporary, "w") as tar:
            for record in records:
                contents = {end: file.read_bytes() for end, file in _files(record).items()}
                if cache is not None:
                    entry = cache.packed(record.name, file_sha256(record.image))
                    contents[TARGETS] = bytes.fromhex(cache.key) + entry
                for end, content in contents.items():
                    member = tarfile.TarInfo(f"{key(record.name)}.{end}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        size, sha256 = temporary.stat().st_size, file_sha256(temporary)
    maps = tuple(name for name in MAPS if all(getattr(record, name) for record in records))
    return ShardFacts(len(records), size, sha256, maps, cache.key if cache else None)
