"""The files of photos inside a tar shard, named as the package webdataset groups them.

All files of a photo have the same name up to the first dot: `beach.jpg` is the photo, `beach.png` its part map, and
`beach.persons.png`, `beach.instances.png` and `beach.targets` are optional. A PNG photo is `beach.photo.png`.
"""

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote

from m2fp_kd.data.reading import Packed
from m2fp_kd.data.sharded.urls import ShardError
from m2fp_kd.runtime.files import PHOTO_SUFFIXES

MAPS = {"categories": "png", "persons": "persons.png", "instances": "instances.png"}
"""Field of a `Record` -> ending of its file."""

TARGETS = "targets"
"""Ending of a file with the teacher's targets."""

PNG_PHOTO = "photo.png"

AGAIN = "copy or make this shard again"


class Place(NamedTuple):
    """Where a file lies in a tar, in bytes."""

    offset: int
    size: int


@dataclass
class Sample:
    """The files of one photo.

    Attributes:
        name: name of the photo.
        image: ending of the photo's file.
        places: ending -> place of the file.
    """

    name: str
    image: str = ""
    places: dict[str, Place] = field(default_factory=dict)


def ending(suffix: str) -> str:
    """Return the ending of a photo's file in a shard, for the suffix of its file on disk."""
    return PNG_PHOTO if suffix.lower() == ".png" else suffix.lower().removeprefix(".")


def key(name: str) -> str:
    """Return the name of a photo as it stands in a shard, where a dot would end it."""
    return name.replace("%", "%25").replace(".", "%2E")


def list_samples(file: BinaryIO, url: str) -> list[Sample]:
    """List the photos of a tar in their order; no file inside is read.

    Raises:
        ShardError: the tar is torn or compressed, has no photo, or a photo lacks its file.
    """
    samples: dict[str, Sample] = {}
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                folder, slash, base = member.name.rpartition("/")
                name, dot, end = base.partition(".")
                if member.isfile() and name and dot:
                    sample = samples.setdefault(folder + slash + name, Sample(unquote(folder + slash + name)))
                    _add(sample, end.lower(), Place(member.offset_data, member.size), url)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ShardError(f"{url}: is torn or no uncompressed tar ({error}); {AGAIN}") from error
    for sample in samples.values():
        if not sample.image:
            raise ShardError(
                f"{url}: '{sample.name}' has {', '.join(sorted(sample.places))} but no photo, such as "
                f"{key(sample.name)}.jpg (a PNG photo is {key(sample.name)}.{PNG_PHOTO}); add it or remove the others"
            )
    if not samples:
        raise ShardError(f"{url}: has no photo; {AGAIN}")
    return list(samples.values())


def _add(sample: Sample, end: str, place: Place, url: str) -> None:
    is_photo = end == PNG_PHOTO or (f".{end}" in PHOTO_SUFFIXES and end != "png")
    if end in sample.places or (is_photo and sample.image):
        raise ShardError(f"{url}: '{sample.name}' has two files for {end}; give every photo a name of its own")
    sample.places[end] = place
    if is_photo:
        sample.image = end


def read_maps(file: BinaryIO, sample: Sample, url: str, maps: Iterable[str]) -> dict[str, Packed]:
    """Read the photo as `image`, and maps of it under their names in `MAPS`.

    Raises:
        ShardError: a map is missing, or the tar ends before it does.
    """
    ends = {"image": sample.image} | {name: MAPS[name] for name in maps}
    return {name: read_end(file, sample, end, url) for name, end in ends.items()}


def read_end(file: BinaryIO, sample: Sample, end: str, url: str) -> Packed:
    """Read the file of a photo with an ending.

    Raises:
        ShardError: it is missing, or the tar ends before it does.
    """
    name = f"{url}: {key(sample.name)}.{end}"
    if end not in sample.places:
        raise ShardError(f"{name} is missing; write the index again with `m2fp-kd shards index`")
    place = sample.places[end]
    file.seek(place.offset)
    content = file.read(place.size)
    if len(content) < place.size:
        raise ShardError(f"{name}: the shard ends in the middle of this file; {AGAIN}")
    return Packed(name, content)
