"""One file of cached targets: an append-only log.

A header with the cache's key is followed by one checksummed entry per photo. One file is easy to copy and to commit,
entries have no overhead, and a killed build leaves at most one incomplete entry at the end, which the next build
detects and overwrites. If several entries share a name, the last one counts.
"""

import os
import struct
import zlib
from pathlib import Path

from m2fp_kd.runtime.files import atomic_path, named

MAGIC = b"M2FPKD\x01\n"
KEY_BYTES = 32
ENTRY_MAGIC = b"PART"
ENTRY = struct.Struct("<4sHII")
"""Magic, length of the name, length of the body, CRC-32 of name and body."""


class CacheError(RuntimeError):
    """A cached target that is missing, stale or broken; the message says how to rebuild it."""


def read_key(path: Path) -> str | None:
    """Return the key in a file's header; None for a file of another kind."""
    with path.open("rb") as file:
        head = file.read(len(MAGIC) + KEY_BYTES)
    return head[len(MAGIC) :].hex() if head.startswith(MAGIC) else None


class TargetFile:
    """The entries of one file. Many processes may read, one may write.

    Args:
        path: the file; the first write creates it.
        key: the cache's key. A file with another key counts as empty, and the first write replaces it.

    Attributes:
        places: name -> offset and length of its entry.
        fault: what is wrong with the file, or "".
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key
        self.places: dict[str, tuple[int, int]] = {}
        self.fault = ""
        self._end = 0
        if path.exists():
            self._scan()

    def read(self, name: str) -> bytes:
        """Read and check an entry; return its body.

        Raises:
            CacheError: the entry is broken.
        """
        start, length = self.places[name]
        with self.path.open("rb") as file:
            file.seek(start)
            entry = file.read(length)
        _, name_length, _, checksum = ENTRY.unpack_from(entry.ljust(ENTRY.size, b"\0"))
        if zlib.crc32(entry[ENTRY.size :]) != checksum or entry[ENTRY.size :][:name_length] != os.fsencode(name):
            raise CacheError(f"{self.path}: the entry of '{name}' is broken (checksum); rebuild the cache.")
        return entry[ENTRY.size + name_length :]

    def append(self, name: str, body: bytes) -> None:
        """Append an entry."""
        encoded_name = os.fsencode(name)
        head = ENTRY.pack(ENTRY_MAGIC, len(encoded_name), len(body), zlib.crc32(encoded_name + body))
        if not self._end:
            with atomic_path(self.path) as temporary:
                temporary.write_bytes(MAGIC + bytes.fromhex(self.key))
            self._end = len(MAGIC) + KEY_BYTES
        with named(self.path), self.path.open("r+b") as file:
            file.truncate(self._end)  # remove the incomplete entry of a killed build
            file.seek(self._end)
            file.write(head + encoded_name + body)
        self.places[name] = (self._end, ENTRY.size + len(encoded_name) + len(body))
        self._end += self.places[name][1]

    def _scan(self) -> None:
        """List the entries up to the first incomplete one, which is noted as the fault."""
        key = read_key(self.path)
        if key is None:
            self.fault = "is not a teacher cache of this version; it counts as empty."
            return
        if key != self.key:
            self.fault = "was made by another teacher, geometry or code version; it counts as empty."
            return
        size, self._end = self.path.stat().st_size, len(MAGIC) + KEY_BYTES
        with self.path.open("rb") as file:
            file.seek(self._end)
            while self._end < size:
                head = file.read(ENTRY.size)
                magic, name_length, body_length, _ = ENTRY.unpack(head.ljust(ENTRY.size, b"\0"))
                length = ENTRY.size + name_length + body_length
                if magic != ENTRY_MAGIC or self._end + length > size:
                    self.fault = f"is broken after {len(self.places)} entries; the rest counts as missing."
                    return
                self.places[os.fsdecode(file.read(name_length))] = (self._end, length)
                self._end += length
                file.seek(self._end)
