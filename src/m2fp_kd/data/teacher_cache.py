"""Cached targets of a frozen teacher: a folder of files, `targets.bin` and one for each share of the photos.

Processes that fill a cache together, such as the jobs of an array, write a file each (`targets-2-of-8.bin`), so that
none waits for another. Readers see the entries of all files.
"""

import hashlib
import json
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m2fp_kd.data.bridging import cross
from m2fp_kd.data.codec import decode, encode
from m2fp_kd.data.target_file import CacheError, TargetFile, read_key
from m2fp_kd.labels import Bridge
from m2fp_kd.runtime.geometry import Geometry, Placement
from m2fp_kd.shards import Shard

CODE_VERSION = 1
"""Version of the code that makes entries; increment it when the same teacher and photo give other entries."""

FILE_NAME = "targets.bin"
FILES = "targets*.bin"
BODY = struct.Struct("<6H32s")
"""Placement (source, content, canvas) and the photo's SHA-256; the encoded log parts follow."""


def cache_key(teacher_sha256: str, *geometries: Geometry, tta: Mapping[str, Any] | None = None) -> str:
    """Hash everything that entries depend on besides the photo, as 64 hex digits.

    Args:
        teacher_sha256: hash of the teacher's weights.
        geometries: placement of photos for the student and, if it differs, for the teacher.
        tta: views of a photo whose mean is stored; None for a single view.
    """
    content: list[Any] = [teacher_sha256, [asdict(geometry) for geometry in geometries], CODE_VERSION]
    if tta is not None:
        content.append(dict(tta))
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def stored_key(folder: str | Path) -> str:
    """Read the key of the cache in a folder.

    Raises:
        CacheError: the folder has no cache of this version.
    """
    files = sorted(Path(folder).glob(FILES))
    if not files:
        others = sorted({str(found.parent) for found in Path(folder).glob(f"*/{FILES}")})
        hint = f"set teacher.cache to one of {', '.join(others)}" if others else "build one with `m2fp-kd cache`"
        raise CacheError(f"the teacher cache {Path(folder) / FILE_NAME} does not exist; {hint}")
    keys = {path: read_key(path) for path in files}
    if strange := [path for path, key in keys.items() if key is None]:
        raise CacheError(f"{strange[0]} is not a teacher cache of this version; remove it, or fill the cache again")
    if foreign := [path for path, key in keys.items() if key != keys[files[0]]]:
        raise CacheError(
            f"{files[0]} and {foreign[0]} have targets of different teachers, geometries or code versions; remove the "
            "older file, or give teacher.checkpoint=FILE, which tells them apart"
        )
    return str(keys[files[0]])


def file_name(shard: Shard | None) -> str:
    """Return the name of the file with a share of the photos; None is the file of all."""
    return f"targets-{shard.number}-of-{shard.of}.bin" if shard else FILE_NAME


def entry(
    log_parts: np.ndarray, placement: Placement, photo_sha256: str, flip_permutation: Sequence[int] | None = None
) -> bytes:
    """Return the entry of a photo, without its name; this takes some 0.1 s and needs no cache.

    Args:
        log_parts: as for `encode`, as is `flip_permutation`.
        placement: placement of the photo on the student's canvas.
        photo_sha256: hash of the photo's file.
    """
    return _head(placement, photo_sha256) + encode(log_parts, flip_permutation)


def _head(placement: Placement, photo_sha256: str) -> bytes:
    return BODY.pack(*placement.source, *placement.content, *placement.canvas, bytes.fromhex(photo_sha256))


def read_entry(body: bytes, photo_sha256: str) -> tuple[Placement, bytes] | None:
    """Return placement and encoded log parts of an entry; None if it was made from another photo.

    Raises:
        ValueError: the bytes are no entry.
    """
    try:
        *sizes, photo = BODY.unpack_from(body)
    except struct.error as error:
        raise ValueError(f"not an entry ({error})") from error
    if photo.hex() != photo_sha256:
        return None
    source, content, canvas = zip(sizes[::2], sizes[1::2], strict=True)
    return Placement(source, content, canvas), body[BODY.size :]


def decoded(encoded: bytes, bridge: Bridge | None) -> np.ndarray:
    """Decode log parts float32 (2, P, h, w), over the student's parts where a bridge leads there.

    Raises:
        ValueError: the bytes are no encoded log parts.
    """
    log_parts = decode(encoded)
    return log_parts if bridge is None else cross(torch.from_numpy(log_parts), bridge).numpy()


class TeacherCache:
    """Log parts by photo name, for one teacher and geometry. Many processes may read, each file has one writer.

    Args:
        folder: folder of the files; the first write creates it.
        key: result of `cache_key`. A file made with another key counts as empty, and the first write replaces it.
        bridge: conversion to the student's parts, applied on reading. The files have the teacher's own parts.
        shard: share of the photos that this process writes, into a file of its own; None writes `targets.bin`.

    Attributes:
        path: the file that this process writes.
    """

    def __init__(self, folder: str | Path, key: str, bridge: Bridge | None = None, shard: Shard | None = None) -> None:
        self.path = Path(folder) / file_name(shard)
        self.key = key
        self.bridge = bridge
        self.refresh()

    def share(self, shard: Shard | None) -> "TeacherCache":
        """Return this cache as the process that writes a share of it sees it."""
        return TeacherCache(self.path.parent, self.key, self.bridge, shard)

    def refresh(self) -> None:
        """Reread the lists of entries, since other processes may have added some."""
        others = sorted(set(self.path.parent.glob(FILES)) - {self.path})
        self._own = TargetFile(self.path, self.key)
        self._files = [self._own, *(TargetFile(path, self.key) for path in others)]
        for file in self._files:
            if file.fault:
                warnings.warn(f"teacher cache {file.path}: {file.fault}", stacklevel=3)

    @property
    def names(self) -> list[str]:
        """Names of the photos that have an entry, sorted."""
        return sorted({name for file in self._files for name in file.places})

    def has(self, name: str, photo_sha256: str) -> bool:
        """Whether an intact entry of exactly this photo exists; warn about a stale or broken one."""
        if not any(self._with(name)):
            return False
        try:
            self._body(name, photo_sha256)
        except CacheError as error:
            warnings.warn(f"{error} It will be recomputed.", stacklevel=2)
            return False
        return True

    def read(self, name: str, photo_sha256: str) -> tuple[np.ndarray, Placement]:
        """Read log parts float32 (2, P, h, w) of the photo and of the mirrored photo, and the photo's placement.

        Raises:
            CacheError: the entry is missing, broken, or was made from another photo.
        """
        placement, encoded = self._body(name, photo_sha256)
        try:
            return decoded(encoded, self.bridge), placement
        except ValueError as error:
            raise CacheError(f"{self.path}: the entry of '{name}' is broken ({error}); rebuild the cache.") from error

    def append(self, name: str, body: bytes) -> None:
        """Append an entry that `entry` made."""
        self._own.append(name, body)

    def _with(self, name: str) -> Iterator[TargetFile]:
        """Yield the files that have an entry, this process's own first."""
        return (file for file in self._files if name in file.places)

    def packed(self, name: str, photo_sha256: str) -> bytes:
        """Return the bytes of an entry, as the function `entry` made them, to store them elsewhere.

        Raises:
            CacheError: as in `read`.
        """
        placement, encoded = self._body(name, photo_sha256)
        return _head(placement, photo_sha256) + encoded

    def _body(self, name: str, photo_sha256: str) -> tuple[Placement, bytes]:
        """Read and check an entry, of the first file where it is intact; return its placement and log parts."""
        error: CacheError | None = None
        for file in self._with(name):
            try:
                if found := read_entry(file.read(name), photo_sha256):
                    return found
                error = CacheError(
                    f"{file.path}: the entry of '{name}' was made from another photo; rebuild the cache."
                )
            except CacheError as broken:
                error = broken
        if error is None:
            faults = [file.fault for file in self._files if file.fault]
            state = faults[0] if faults else f"has {len(self.names)} other entries."
            error = CacheError(
                f"{self.path}: no target of '{name}'; the file {state} Build the cache for these photos."
            )
        raise error
