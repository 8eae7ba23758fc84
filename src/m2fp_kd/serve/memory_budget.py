"""Room for photos: bytes that requests take before they decode theirs, and give back at their end."""

from queue import Full
from threading import Lock


class Room:
    """So many bytes for all requests together.

    Args:
        most: bytes. Who needs more than all of it is let in when nobody else is; else he never would be.
    """

    def __init__(self, most: float) -> None:
        self.most = most
        self._lock = Lock()
        self.taken = 0

    @property
    def full(self) -> bool:
        """Whether nobody is let in, whatever he brings."""
        return self.taken >= self.most

    def take(self, size: int) -> None:
        """Take so many bytes; none are always to be had.

        Raises:
            Full: there is no room.
        """
        with self._lock:
            if size and self.taken and self.taken + size > self.most:
                raise Full
            self.taken += size

    def leave(self, size: int) -> None:
        """Give bytes back."""
        with self._lock:
            self.taken -= size
