"""Cached targets of a frozen teacher, one file per cache.

`targets.bin` is an append-only log: a header with the cache's key, then one checksummed entry per photo. One file is
easy to copy and to commit, entries have no overhead, and a killed build leaves at most one incomplete entry at the end,
which the next build detects and overwrites. If several entries share a name, the last one counts.
"""

import hashlib
import json
import os
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m2fp_kd.data.bridging import cross
from m2fp_kd.data.codec import decode, encode
from m2fp_kd.labels import Bridge
from m2fp_kd.runtime.files import atomic_path, named
from m2fp_kd.runtime.geometry import Geometry, Placement

__all__ = ["CODE_VERSION", "CacheError", "TeacherCache", "cache_key", "decode", "encode", "stored_key"]

CODE_VERSION = 1
"""Version of the code that makes entries; increment it when the same teacher and photo give other entries."""

FILE_NAME = "targets.bin"
MAGIC = b"M2FPKD\x01\n"
KEY_BYTES = 32
ENTRY_MAGIC = b"PART"
ENTRY = struct.Struct("<4sHII")
"""Magic, length of the name, length of the body, CRC-32 of name and body."""
BODY = struct.Struct("<6H32s")
"""Placement (source, content, canvas) and the photo's SHA-256; the encoded log parts follow."""


class CacheError(RuntimeError):
    """A cached target that is missing, stale or broken; the message says how to rebuild it."""


def cache_key(
    teacher_sha256: str,
    *geometries: Geometry,
    tta: Mapping[str, Any] | None = None,
    code_version: int = CODE_VERSION,
) -> str:
    """Hash everything that entries depend on besides the photo, as 64 hex digits.

    Args:
        teacher_sha256: hash of the teacher's weights.
        geometries: placement of photos for the student and, if it differs, for the teacher.
        tta: views of a photo whose mean is stored; None for a single view.
        code_version: version of the code that makes entries.
    """
    content: list[Any] = [teacher_sha256, [asdict(geometry) for geometry in geometries], code_version]
    if tta is not None:
        content.append(dict(tta))
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def stored_key(folder: str | Path) -> str:
    """Read the key of the cache in a folder.

    Raises:
        CacheError: the folder has no cache of this version.
    """
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        others = sorted(str(found.parent) for found in Path(folder).glob(f"*/{FILE_NAME}"))
        hint = f"set teacher.cache to one of {', '.join(others)}" if others else "build one with stage=cache"
        raise CacheError(f"the teacher cache {path} does not exist; {hint}")
    with path.open("rb") as file:
        head = file.read(len(MAGIC) + KEY_BYTES)
    if not head.startswith(MAGIC):
        raise CacheError(f"{path} is not a teacher cache of this version; build one with stage=cache")
    return head[len(MAGIC) :].hex()


class TeacherCache:
    """Log parts by photo name, for one teacher and geometry. Many processes may read, one may write.

    Args:
        folder: folder of `targets.bin`; the first write creates it.
        key: result of `cache_key`. A file made with another key counts as empty, and the first write replaces it.
        bridge: conversion to the student's parts, applied on reading. The file has the teacher's own parts.
    """

    def __init__(self, folder: str | Path, key: str, bridge: Bridge | None = None) -> None:
        self.path = Path(folder) / FILE_NAME
        self.key = key
        self.bridge = bridge
        self.refresh()

    def refresh(self) -> None:
        """Reread the list of entries, since another process may have added some."""
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._fault = ""
        if self.path.exists():
            self._scan()
        if self._fault:
            warnings.warn(f"teacher cache {self.path}: {self._fault}", stacklevel=3)

    @property
    def names(self) -> list[str]:
        """Names of the photos that have an entry, sorted."""
        return sorted(self._places)

    def has(self, name: str, photo_sha256: str) -> bool:
        """Whether an intact entry of exactly this photo exists; warn about a stale or broken one."""
        if name not in self._places:
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
            log_parts = decode(encoded)
        except ValueError as error:
            raise CacheError(f"{self.path}: the entry of '{name}' is broken ({error}); rebuild the cache.") from error
        if self.bridge is not None:
            log_parts = cross(torch.from_numpy(log_parts), self.bridge).numpy()
        return log_parts, placement

    def write(
        self,
        name: str,
        log_parts: np.ndarray,
        placement: Placement,
        photo_sha256: str,
        flip_permutation: Sequence[int] | None = None,
    ) -> None:
        """Encode log parts and append the entry; arguments as for `encode`."""
        body = BODY.pack(*placement.source, *placement.content, *placement.canvas, bytes.fromhex(photo_sha256))
        encoded_name, body = os.fsencode(name), body + encode(log_parts, flip_permutation)
        head = ENTRY.pack(ENTRY_MAGIC, len(encoded_name), len(body), zlib.crc32(encoded_name + body))
        if not self._end:
            with atomic_path(self.path) as temporary:
                temporary.write_bytes(MAGIC + bytes.fromhex(self.key))
            self._end = len(MAGIC) + KEY_BYTES
        with named(self.path), self.path.open("r+b") as file:
            file.truncate(self._end)  # remove the incomplete entry of a killed build
            file.seek(self._end)
            file.write(head + encoded_name + body)
        self._places[name] = (self._end, ENTRY.size + len(encoded_name) + len(body))
        self._end += self._places[name][1]

    def _scan(self) -> None:
        """List the entries up to the first incomplete one, which is noted as the fault."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                self._fault = "is not a teacher cache of this version; it counts as empty."
                return
            if file.read(KEY_BYTES).hex() != self.key:
                self._fault = "was made by another teacher, geometry or code version; it counts as empty."
                return
            self._end = file.tell()
            while self._end < size:
                head = file.read(ENTRY.size)
                magic, name_length, body_length, _ = ENTRY.unpack(head.ljust(ENTRY.size, b"\0"))
                length = ENTRY.size + name_length + body_length
                if magic != ENTRY_MAGIC or self._end + length > size:
                    self._fault = f"is broken after {len(self._places)} entries; the rest counts as missing."
                    return
                self._places[os.fsdecode(file.read(name_length))] = (self._end, length)
                self._end += length
                file.seek(self._end)

    def _body(self, name: str, photo_sha256: str) -> tuple[Placement, bytes]:
        """Read and check an entry; return its placement and encoded log parts."""
        if name not in self._places:
            state = self._fault or f"has {len(self._places)} other entries."
            raise CacheError(f"{self.path}: no target of '{name}'; the file {state} Build the cache for these photos.")
        start, length = self._places[name]
        with self.path.open("rb") as file:
            file.seek(start)
            entry = file.read(length)
        _, name_length, _, checksum = ENTRY.unpack_from(entry.ljust(ENTRY.size, b"\0"))
        if zlib.crc32(entry[ENTRY.size :]) != checksum or entry[ENTRY.size :][:name_length] != os.fsencode(name):
            raise CacheError(f"{self.path}: the entry of '{name}' is broken (checksum); rebuild the cache.")
        body = entry[ENTRY.size + name_length :]
        *sizes, photo = BODY.unpack_from(body)
        if photo.hex() != photo_sha256:
            raise CacheError(f"{self.path}: the entry of '{name}' was made from another photo; rebuild the cache.")
        source, content, canvas = zip(sizes[::2], sizes[1::2], strict=True)
        return Placement(source, content, canvas), body[BODY.size :]
