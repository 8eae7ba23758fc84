"""`shards.json`: facts about every shard of a folder, so that a training starts without reading them."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from tarfile import BLOCKSIZE
from typing import Any, BinaryIO

from m2fp_kd.data.reading import LabelError, read_files
from m2fp_kd.data.sharded.tar_file import MAPS, TARGETS, Sample, list_samples, read_end, read_maps
from m2fp_kd.data.sharded.urls import ShardError, beside, expand, open_file, read_file, sizes, write_file
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.cores import usable_cores
from m2fp_kd.runtime.geometry import PhotoError

NAME = "shards.json"
VERSION = 1
KEY_BYTES = 32
"""Bytes in front of a photo's targets: the key of the cache that they come from."""


@dataclass(frozen=True)
class ShardFacts:
    """Facts about a shard.

    Attributes:
        photos: number of photos.
        bytes: size of the file.
        sha256: hash of the file.
        maps: maps that every photo has, among `MAPS`.
        targets: key of the teacher's cache that every photo's targets come from; None without targets.
    """

    photos: int
    bytes: int
    sha256: str
    maps: tuple[str, ...] = ()
    targets: str | None = None


@dataclass(frozen=True)
class TarShard:
    """A shard at its address."""

    url: str
    facts: ShardFacts


@dataclass(frozen=True)
class ShardIndex:
    """Content of `shards.json`.

    Attributes:
        shards: file name -> facts.
        part_names: parts of the label set that the labels were checked against.
        label_models: models that wrote labels, as `label_models` returns them.
        made_from: hash of the files and options that `shards make` packs; None for shards of another program.
    """

    shards: Mapping[str, ShardFacts]
    part_names: tuple[str, ...]
    label_models: tuple[dict[str, Any], ...] = ()
    made_from: str | None = None

    def to_json(self) -> str:
        """Return the text of the file."""
        facts = {name: asdict(facts) for name, facts in self.shards.items()}
        return json.dumps({"version": VERSION, **vars(self), "shards": facts}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, name: str) -> "ShardIndex":
        """Read the text of the file; `name` is for messages.

        Raises:
            ShardError: it is broken or of another version.
        """
        try:
            content = json.loads(text)
            if content["version"] != VERSION:
                raise ValueError(f"version {content['version']}, not {VERSION}")
            shards = {
                shard: ShardFacts(**facts | {"maps": tuple(facts["maps"])})
                for shard, facts in content["shards"].items()
            }
            return cls(shards, tuple(content["part_names"]), tuple(content["label_models"]), content["made_from"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ShardError(f"{name}: no valid index ({error}); write it again with `m2fp-kd shards index`") from error


def find_shards(urls: list[str], labels: LabelSet) -> tuple[list[TarShard], list[dict[str, Any]]]:
    """Look shards up in the indexes beside them, and check that they are there, whole, and of the label set.

    Returns:
        The shards in the order of their addresses, and the models that wrote labels.

    Raises:
        ShardError: a shard or an index is missing, a shard has another size than in the index, or its labels were
            checked against other parts.
    """
    addresses = dict.fromkeys(beside(url, NAME) for url in urls)
    indexes = {address: _read_index(address) for address in addresses}
    shards = [_look_up(url, indexes[beside(url, NAME)]) for url in urls]
    for address, index in indexes.items():
        if index.part_names != labels.parts:
            raise ShardError(
                f"{address}: the labels were checked against other parts ({', '.join(index.part_names)}) than those of "
                f"'{labels.name}'; set data.labels to their label set"
            )
    for shard, size in zip(shards, sizes(urls), strict=True):
        if size is not None and size != shard.facts.bytes:
            raise ShardError(
                f"{shard.url} has {size:,} bytes, but {shard.facts.bytes:,} in {NAME}: copy it again, or if it was "
                "replaced write the index again with `m2fp-kd shards index`"
            )
    if len({"categories" in shard.facts.maps for shard in shards}) > 1:
        bare = next(shard.url for shard in shards if "categories" not in shard.facts.maps)
        raise ShardError(f"{bare} has no labels, but other shards have; leave it out, or add labels to its photos")
    models = {str(model): model for index in indexes.values() for model in index.label_models}
    return shards, list(models.values())


def _read_index(url: str) -> ShardIndex:
    try:
        return ShardIndex.from_json(read_file(url), url)
    except ShardError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ShardError(
                f"{url}: there is no such file; check the address of the shards, copy {NAME} there too, or write one "
                "with `m2fp-kd shards index`"
            ) from error
        raise


def _look_up(url: str, index: ShardIndex) -> TarShard:
    name = url.rpartition("/")[2]
    if name not in index.shards:
        raise ShardError(
            f"{url} is not among the {len(index.shards)} shards of {NAME} beside it; finish `m2fp-kd shards make`, or "
            "write the index again with `m2fp-kd shards index`"
        )
    return TarShard(url, index.shards[name])


def examine(url: str, labels: LabelSet, seen: Callable[[int], None] = lambda photos: None) -> ShardFacts:
    """Read a whole shard, decode every photo and check every label map.

    Args:
        url: address of the shard.
        labels: label set of the maps.
        seen: is called with 1 after each photo.

    Raises:
        ShardError: the shard is torn, or some photos have labels or targets and others have none.
        PhotoError, LabelError, ValueError: a photo or a map cannot be used; the message names the file.
    """
    with open_file(url) as file:
        _check_end(file, url)
        samples = list_samples(file, url)
        shared = _shared(samples, url)
        keys = set()
        for sample in samples:
            _check(file, sample, labels, url)
            if TARGETS in shared:
                keys.add(read_end(file, sample, TARGETS, url).content[:KEY_BYTES].hex())
            seen(1)
        if len(keys) > 1:
            raise ShardError(f"{url}: has targets of several teachers; make the shard again with one cache")
        size, sha256 = file.seek(0, 2), _sha256(file)
    maps = tuple(name for name, end in MAPS.items() if end in shared)
    return ShardFacts(len(samples), size, sha256, maps, keys.pop() if keys else None)


def _check(file: BinaryIO, sample: Sample, labels: LabelSet, url: str) -> None:
    try:
        read_files(
            sample.name, labels, **read_maps(file, sample, url, [m for m, end in MAPS.items() if end in sample.places])
        )
    except (PhotoError, LabelError, ShardError):
        raise
    except ValueError as error:
        raise LabelError(str(error)) from error


def _check_end(file: BinaryIO, url: str) -> None:
    """Refuse a tar without the block of zeros at its end: one whose copy was cut between two photos is torn as well."""
    length = file.seek(0, 2)
    file.seek(max(0, length - BLOCKSIZE))
    if length < BLOCKSIZE or file.read(BLOCKSIZE).strip(b"\0"):
        raise ShardError(f"{url}: is torn (a tar ends with zeros); copy or make this shard again")
    file.seek(0)


def _shared(samples: list[Sample], url: str) -> set[str]:
    """Return the endings that all photos have.

    Raises:
        ShardError: some have labels or targets and others have none.
    """
    for end, kind in ((MAPS["categories"], "label map"), (TARGETS, "targets")):
        bare = [sample.name for sample in samples if end not in sample.places]
        if 0 < len(bare) < len(samples):
            raise ShardError(
                f"{url}: {len(bare)} of {len(samples)} photos have no {kind} (.{end}), such as '{bare[0]}'; add it, or "
                "remove these photos"
            )
    return set.intersection(*(set(sample.places) for sample in samples))


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a file on disk


def index_shards(patterns: Sequence[str], labels: LabelSet, seen: Callable[[int], None]) -> tuple[str, ShardIndex]:
    """Examine the shards of one folder in parallel and write their index beside them.

    Args:
        patterns: as for `expand`.
        labels: label set of the maps.
        seen: is called with 1 after each photo.

    Returns:
        The address of the index, and its content.

    Raises:
        ShardError: the shards lie in several folders, or as in `examine`, like the other errors; or the folder takes no
            file.
    """
    urls = expand(patterns, "URL")
    addresses = sorted({beside(url, NAME) for url in urls})
    if len(addresses) > 1:
        raise ShardError(f"the shards lie in several folders, which need an index each: {addresses[0]}, {addresses[1]}")
    with ThreadPoolExecutor(usable_cores()) as pool:  # Pillow releases Python's lock
        facts = list(pool.map(lambda url: examine(url, labels, seen), urls))
    names = [url.rpartition("/")[2] for url in urls]
    index = ShardIndex(dict(zip(names, facts, strict=True)), labels.parts)
    write_file(addresses[0], index.to_json().encode())
    return addresses[0], index
