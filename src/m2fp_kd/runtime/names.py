"""Choose names of results that differ and that a file system can have."""

import hashlib
import os
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V", bound=Hashable)

LONGEST_NAME = 255
"""Bytes of a file name, the limit of most file systems."""


def shortened(name: str, reserved: int) -> str:
    """Return a name that fits into a file name with `reserved` bytes more: its beginning and a hash if it is long."""
    encoded = os.fsencode(name)
    if len(encoded) + reserved <= LONGEST_NAME:
        return name
    end = f"-{short_hash(name)}"
    return encoded[: LONGEST_NAME - reserved - len(end)].decode(errors="ignore") + end


def safe(text: str) -> str:
    """Return a text as a part of a file name: letters, digits, `-` and `_`, at most 64; `x` for an empty one.

    >>> safe("left/arm (upper)")
    'left_arm__upper_'
    """
    return "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "_" for one in text)[:64] or "x"


def short_hash(text: str) -> str:
    """Return eight hexadecimal digits that identify a text, or any name that a file system has."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]


def distinct(choices: Mapping[K, Sequence[V]]) -> dict[K, V]:
    """Choose one value for each key, so that no two keys have the same.

    All keys that share a value take their next choice; the result does not depend on the order of the keys.

    Args:
        choices: key -> its choices, best first; the last is no other key's.
    """
    left = {key: list(values) for key, values in choices.items()}
    while True:
        counts = Counter(values[0] for values in left.values())
        unclear = [key for key, values in left.items() if counts[values[0]] > 1 and len(values) > 1]
        if not unclear:
            return {key: values[0] for key, values in left.items()}
        for key in unclear:
            left[key].pop(0)
