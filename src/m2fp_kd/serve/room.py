"""Room for photos that no network has yet: bytes that requests take before they decode theirs."""

from queue import Full
from threading import Lock


class Room:
    """So many bytes for all requests together.

    Args:
        most: bytes. Who needs more than all of it is let in when nobody else is; else he never would be.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._lock = Lock()
        self.taken = 0

    @property
    def full(self) -> bool:
        """Whether nobody is let in, whatever he brings."""
        return self.taken >= self._most

    def take(self, size: int) -> "Place":
        """Take so many bytes.

        Raises:
            Full: there is no room.
        """
        with self._lock:
            if self.taken and self.taken + size > self._most:
                raise Full
            self.taken += size
        return Place(self, size)

    def leave(self, size: int) -> None:
        """Give bytes back."""
        with self._lock:
            self.taken -= size


class Place:
    """What a request has taken of a room; `with` gives back what it still has of it at the end.

    Args:
        room: where.
        size: bytes.
    """

    def __init__(self, room: Room, size: int) -> None:
        self._room = room
        self._left = size
        self._lock = Lock()

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        self.leave(self._left)

    def leave(self, size: int) -> None:
        """Give back so many bytes; never more than are left, for the request may end while a worker does the same."""
        with self._lock:
            size = min(size, self._left)
            self._left -= size
        self._room.leave(size)
