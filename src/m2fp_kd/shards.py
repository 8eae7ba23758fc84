"""Shares of a set of photos for several processes or machines, such as 2/8."""

import os
import zlib
from collections.abc import Iterator
from typing import NamedTuple, Self

ALLOWED = "I/N, the share I from 1 to N of N, such as 2/8"
MOST = 1_000_000


class Shard(NamedTuple):
    """One of several shares.

    Attributes:
        number: number of this share, from 1 on.
        of: number of shares.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a share as users write it.

        Raises:
            ValueError: the text is not `ALLOWED`.
        """
        number, slash, of = text.partition("/")
        digits = slash and text.isascii() and number.isdecimal() and of.isdecimal()
        if not digits or not 1 <= int(number) <= int(of) <= MOST:
            raise ValueError(f"must be {ALLOWED}, not {text!r}")
        return cls(int(number), int(of))

    def holds(self, name: str) -> bool:
        """Return whether a photo belongs to this share, by the hash of its name.

        So the same photo is in the same share on every machine, also while other photos come and go. Shares are equal
        on average.
        """
        return zlib.crc32(os.fsencode(name)) % self.of == self.number - 1

    def all_from_here(self) -> Iterator["Shard"]:
        """Yield all shares, this one first."""
        yield from (Shard((self.number - 1 + step) % self.of + 1, self.of) for step in range(self.of))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def own_shard() -> Shard | None:
    """Return the share of this process among those that torchrun started; None without it."""
    count = int(os.environ.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    return Shard(int(os.environ["RANK"]) + 1, count) if count > 1 else None
