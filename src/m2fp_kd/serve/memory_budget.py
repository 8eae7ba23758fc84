"""A memory budget: requests reserve bytes before they decode their photos and release them when they are answered."""

from queue import Full
from threading import Lock


class MemoryBudget:
    """Bytes that all requests share.

    Args:
        limit: bytes. A request larger than the whole budget is admitted only when no other is in flight.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.reserved = 0
        self._lock = Lock()

    @property
    def full(self) -> bool:
        """Whether the budget is used up, so that no request with a photo is admitted."""
        return self.reserved >= self.limit

    def reserve(self, size: int) -> None:
        """Reserve bytes. A request for none always succeeds.

        Raises:
            Full: the budget has too few bytes left.
        """
        with self._lock:
            if size and self.reserved and self.reserved + size > self.limit:
                raise Full
            self.reserved += size

    def release(self, size: int) -> None:
        """Release bytes that were reserved."""
        with self._lock:
            self.reserved -= size
