"""A file that bounds the number of pieces that its reader takes."""

import io
from typing import BinaryIO

MOST_READS = 500_000
"""Calls of `read`. The largest PNG has 400,000, four for each of its chunks of 8 kB."""


class CountedFile(io.BufferedReader):
    """A file for Pillow, which reads metadata piece by piece and keeps a hundred bytes for some with a single one."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)  # type: ignore[arg-type]  # any file will do
        self._left = MOST_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """Return bytes as any file does.

        Raises:
            ValueError: the file has been read in too many pieces.
        """
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"more than {MOST_READS} pieces")
        return super().read(size)


def counted(file: BinaryIO) -> BinaryIO:
    """Return a file at its start as a `CountedFile`; a BMP as it is, because its pixels may be many pieces."""
    is_bmp = file.read(2) == b"BM"
    file.seek(0)
    return file if is_bmp else CountedFile(file)
