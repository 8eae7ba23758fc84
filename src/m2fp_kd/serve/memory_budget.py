"""Memory budgets: of the photos that are decoded, and of the bytes that connections hold."""

from collections.abc import Hashable
from queue import Full
from threading import Lock


class MemoryBudget:
    """Bytes that all requests share, reserved before photos are decoded and released when they are answered.

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


class HeldBytes:
    """Bytes that connections hold: bodies that they have received and answers that they have not sent.

    Args:
        limit: bytes, beyond which `over` is true.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.total = 0
        self._held: dict[Hashable, int] = {}
        self._lock = Lock()

    @property
    def over(self) -> bool:
        """Whether the connections hold more than the limit."""
        return self.total > self.limit

    def hold(self, holder: Hashable, size: int) -> None:
        """Replace the bytes of a holder."""
        with self._lock:
            self.total += size - self._held.pop(holder, 0)
            if size:
                self._held[holder] = size
