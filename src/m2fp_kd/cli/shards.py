"""Shares of the photos for several processes or machines: `--shard 2/8`."""

import argparse
import os
import zlib
from pathlib import Path
from typing import NamedTuple

MOST = 1_000_000


class Shard(NamedTuple):
    """One of several shares.

    Attributes:
        number: number of this share, from 1 on.
        of: number of shares.
    """

    number: int
    of: int

    def holds(self, name: Path) -> bool:
        """Return whether a file belongs to this share, by the hash of its relative path.

        So the same file is in the same share on every machine, also while other files come and go. Shares are equal on
        average.
        """
        return zlib.crc32(os.fsencode(name.as_posix())) % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def shard(text: str) -> Shard:
    """Return the share that an option names.

    Raises:
        argparse.ArgumentTypeError: it names none.
    """
    number, slash, of = text.partition("/")
    if slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= MOST:
        return Shard(int(number), int(of))
    raise argparse.ArgumentTypeError(f"must be I/N, the share I from 1 to N of N, such as 2/8, not {text!r}")
