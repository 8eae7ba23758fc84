"""Unpack shards of validation and test photos into a folder, because every epoch and the report read them."""

from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from tqdm.auto import tqdm

from m2fp_kd.data.layouts import FOLDERS, Record, m2fp_records
from m2fp_kd.data.sharded.index import TarShard
from m2fp_kd.data.sharded.tar_file import MAPS, PNG_PHOTO, list_samples, read_maps
from m2fp_kd.data.sharded.urls import ShardError, open_file
from m2fp_kd.runtime.files import atomic_folder, text_sha256


def unpacked(shards: Sequence[TarShard], folder: Path, split: str) -> list[Record]:
    """Return the photos of shards as files in M2FP's layout, unpacked once for each content.

    Maps that some shards lack are left out, since in this layout all photos have the same maps.

    Args:
        shards: labelled shards.
        folder: folder of the result, which gets a subfolder named by the shards' hashes.
        split: `Validation` or `Testing`.

    Raises:
        ShardError: the shards have no labels, or a photo occurs twice.
    """
    if bare := [shard.url for shard in shards if "categories" not in shard.facts.maps]:
        raise ShardError(f"{bare[0]} has no labels; validate and test on labelled photos")
    maps = [name for name in MAPS if all(name in shard.facts.maps for shard in shards)]
    root = folder / text_sha256([shard.facts.sha256 for shard in shards])[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{root.name}-{split}.lock"):
        if not (root / split).is_dir():
            with atomic_folder(root / split) as temporary:
                for shard in tqdm(shards, desc=f"unpacking {split}", unit="shard", disable=None, delay=2):
                    _unpack(shard, maps, temporary)
    return m2fp_records(root, split)


def _unpack(shard: TarShard, maps: Sequence[str], folder: Path) -> None:
    with open_file(shard.url) as file:
        for sample in list_samples(file, shard.url):
            suffix = ".png" if sample.image == PNG_PHOTO else f".{sample.image}"
            for name, packed in read_maps(file, sample, shard.url, maps).items():
                path = folder / FOLDERS[name] / (_file_name(sample.name) + (suffix if name == "image" else ".png"))
                path.parent.mkdir(exist_ok=True)
                if path.exists():
                    raise ShardError(f"{shard.url}: '{sample.name}' is in another shard too; rename one of them")
                path.write_bytes(packed.content)


def _file_name(name: str) -> str:
    return name.replace("/", "%2F")
