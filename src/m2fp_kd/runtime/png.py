"""Remove what Pillow refuses in a PNG: colour profiles and texts, which may decompress to any size."""

import io
import zlib
from collections.abc import Iterator
from itertools import count
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"

METADATA = (b"iCCP", b"tEXt", b"zTXt", b"iTXt")
"""Kinds of chunks that hold a colour profile or a text."""

ORIENTED = (b"XML:com.adobe.xmp", b"Raw profile type exif")
"""Keywords of the texts that may hold a photo's orientation."""

MOST_CHUNKS = 200_000
"""Chunks of a file; the largest photo has half as many."""

LARGEST_TEXT = 1 << 20
"""Bytes of a decompressed text; Pillow refuses a file with a larger one."""


def without_metadata(file: BinaryIO) -> BinaryIO:
    """Return a PNG without its colour profile and its texts, save for short ones that may hold the orientation.

    Only the removed chunks are read, and no text is decompressed beyond `LARGEST_TEXT`.

    Args:
        file: an open file at its start; one of another format or without such chunks is returned unchanged.

    Raises:
        ValueError: the file has more than `MOST_CHUNKS`.
    """
    if file.read(len(SIGNATURE)) == SIGNATURE:
        removed = list(_metadata(file))
        if removed:
            return _without(file, removed)
    file.seek(0)
    return file


def _metadata(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield start and end of the chunks to remove; stop where the file is cut off."""
    kept: set[bytes] = set()
    start, size = len(SIGNATURE), file.seek(0, io.SEEK_END)
    for chunks in count():
        if start + 12 > size:
            return
        if chunks == MOST_CHUNKS:
            raise ValueError(f"more than {MOST_CHUNKS} chunks")
        file.seek(start)
        length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        end = start + 12 + length  # length, kind and checksum have 4 bytes each
        if kind in METADATA and end <= size:
            data = file.read(length)
            keyword = data.partition(b"\0")[0]
            if keyword in kept or not _holds_orientation(kind, keyword, data):
                yield start, end
            kept.add(keyword)
        start = end


def _holds_orientation(kind: bytes, keyword: bytes, data: bytes) -> bool:
    """Return whether a chunk may hold the orientation and is short enough."""
    if kind == b"iCCP" or keyword not in ORIENTED or len(data) > LARGEST_TEXT:
        return False
    text = data[len(keyword) + 1 :]
    if kind == b"zTXt":
        return _short(text[1:])
    if kind == b"iTXt" and text[:1] == b"\1":
        return _short(text[2:].split(b"\0", 2)[-1])
    return True


def _short(compressed: bytes) -> bool:
    packer = zlib.decompressobj()
    try:
        packer.decompress(compressed, LARGEST_TEXT)
    except zlib.error:
        return False
    return not packer.unconsumed_tail


def _without(file: BinaryIO, removed: list[tuple[int, int]]) -> BinaryIO:
    """Copy a file to memory without some of its bytes."""
    copy = io.BytesIO()
    start = 0
    for first, end in removed:
        file.seek(start)
        copy.write(file.read(first - start))
        start = end
    file.seek(start)
    copy.write(file.read())
    copy.seek(0)
    return copy
