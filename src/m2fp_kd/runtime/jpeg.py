"""Count the scans of a JPEG: each is a pass over all pixels, which a hostile file causes with a few bytes."""

import re
from typing import BinaryIO

MOST_SCANS = 64
"""Limit of scans; a progressive JPEG has about ten. libjpeg takes 20 ms for 49 megapixels and an empty scan."""

START, SCAN, END = b"\xff\xd8\xff", 0xDA, 0xD9

MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
"""Marker of a segment; 0xFF00 is a byte of pixels, 0xFFFF is padding."""

ALONE = frozenset([0x01, *range(0xD0, 0xDA)])
"""Second bytes of the markers that have no length behind them."""


def check_scans(file: BinaryIO) -> None:
    """Check the number of scans of a JPEG; other files pass.

    Args:
        file: an open file at its start, and there again afterwards.

    Raises:
        ValueError: the file has more than `MOST_SCANS`.
    """
    if file.read(len(START)) == START:
        file.seek(0)
        data = file.read()
        # Most files need no closer look. The bytes may also occur in what stands behind the picture, such as a video.
        if data.count(bytes((0xFF, SCAN))) > MOST_SCANS and _scans(data) > MOST_SCANS:
            raise ValueError(f"more than {MOST_SCANS} scans")
    file.seek(0)


def _scans(data: bytes) -> int:
    """Count the scans until the picture's end or one beyond the limit."""
    scans, at = 0, 0
    while scans <= MOST_SCANS and (marker := MARKER.search(data, at)):
        at, kind = marker.end(), data[marker.end() - 1]
        if kind == END:
            break
        scans += kind == SCAN
        if kind not in ALONE:
            at += int.from_bytes(data[at : at + 2], "big")
    return scans
