"""Bytes on their way to a client."""

from collections import deque

BLOCK = 1 << 17
"""Bytes that are freed together."""


class Outgoing:
    """A buffer for one of waitress' connections; bytes are freed as soon as the system has taken them.

    Waitress' own buffer keeps an answer whole until another one follows it.
    """

    def __init__(self) -> None:
        self._blocks: deque[memoryview] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, data: bytes) -> None:
        """Add a copy of bytes at the end."""
        self._size += len(data)
        for start in range(0, len(data), BLOCK):
            self._blocks.append(memoryview(bytes(data[start : start + BLOCK])))

    def get(self, most: int) -> memoryview:
        """Return the first bytes, `most` at most, and keep them."""
        return self._blocks[0][:most] if self._blocks else memoryview(b"")

    def skip(self, count: int, allow_prune: bool = False) -> None:
        """Remove the first `count` bytes, which `get` has returned."""
        self._size -= count
        rest = self._blocks.popleft()[count:]
        if rest:
            self._blocks.appendleft(rest)

    def close(self) -> None:
        """Free all bytes."""
        self._blocks.clear()
        self._size = 0
