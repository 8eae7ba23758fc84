"""Limits of time and of work at once: the deadline of a request, and turns that its steps wait for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore

from m2fp_kd.serve.errors import ApiError


@dataclass(frozen=True)
class Deadline:
    """The time by which a request must be answered.

    Attributes:
        started: `time.monotonic()` at the request's first byte.
        seconds: time limit.
    """

    started: float
    seconds: float

    @property
    def left(self) -> float:
        """Seconds left; 0 once the deadline has passed."""
        return max(0.0, self.started + self.seconds - time.monotonic())

    def check(self) -> None:
        """Raise the answer for a late request if the deadline has passed.

        Raises:
            ApiError: the deadline has passed.
        """
        if not self.left:
            raise self.passed

    @property
    def passed(self) -> ApiError:
        """The answer for a late request."""
        return ApiError(503, "deadline", f"The request was not answered within {self.seconds:g} s; try again.", 1)


class Turns:
    """A limit of threads that do a step at the same time.

    Args:
        at_once: number of threads.
    """

    def __init__(self, at_once: int) -> None:
        self._free = BoundedSemaphore(at_once)

    @contextmanager
    def one(self, deadline: Deadline) -> Iterator[None]:
        """Wait for a turn, and end it on leaving.

        Raises:
            ApiError: the deadline passes first.
        """
        deadline.check()
        if not self._free.acquire(timeout=deadline.left):
            raise deadline.passed
        try:
            yield
        finally:
            self._free.release()
