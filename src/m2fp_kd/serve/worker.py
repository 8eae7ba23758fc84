"""A model behind a bounded queue: neighbouring photos share a call, and late photos are dropped."""

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.memory_budget import MemoryBudget

ParseBatch = Callable[[list[Any]], list[Parsing]]
"""A `Parser`, called with a list of photos."""


@dataclass
class _Job:
    photo: np.ndarray
    deadline: float
    queued: float = field(default_factory=time.perf_counter)
    result: "Future[tuple[Parsing, float]]" = field(default_factory=Future)


class Worker:
    """Parse photos in one thread per parser.

    Args:
        parsers: one parser for each thread; the same object may serve several threads if it is thread-safe.
        waiting: limit of photos in the queue; further photos are refused.
        together: limit of photos in one call.
        megabytes: memory budget of the requests, 10^6 bytes.
    """

    def __init__(self, parsers: Sequence[ParseBatch], waiting: int, together: int, megabytes: float = math.inf) -> None:
        self._budget = MemoryBudget(1e6 * megabytes)
        self._jobs: queue.Queue[_Job | None] = queue.Queue(waiting)
        self._together = together
        self._seconds = 0.1  # running mean of the time of a photo
        self._threads = [threading.Thread(target=self._run, args=(parse,), daemon=True) for parse in parsers]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Photos in the queue."""
        return self._jobs.qsize()

    @property
    def reserved_bytes(self) -> int:
        """Bytes of the memory budget that requests have reserved."""
        return self._budget.reserved

    @property
    def ready(self) -> bool:
        """Whether the worker accepts photos."""
        return all(thread.is_alive() for thread in self._threads) and not (self._jobs.full() or self._budget.full)

    @contextmanager
    def reserve(self, sizes: Sequence[int]) -> Iterator[None]:
        """Reserve memory for a request, from before its photos are decoded until its answers are built.

        Args:
            sizes: bytes that each of its photos needs.

        Raises:
            ApiError: a batch needs more than the whole budget, or the budget has too little left.
        """
        size, limit = sum(sizes), self._budget.limit
        # A few bytes of upload may hold gigabytes of pixels. Only a single photo, which cannot be split, may exceed the
        # budget.
        if len(sizes) > 1 and size > limit:
            needed = f"These photos need {size / 1e6:.1f} MB of memory; the server allows {limit / 1e6:.1f} MB."
            raise ApiError(413, "batch_too_large", f"{needed} Send fewer at a time.")
        try:
            self._budget.reserve(size)
        except queue.Full:
            raise self._busy() from None
        try:
            yield
        finally:
            self._budget.release(size)

    def parse(self, photos: Sequence[np.ndarray], seconds: float) -> list[tuple[Parsing, float]]:
        """Put photos into the queue and wait for their results.

        Args:
            photos: uint8 (H, W, 3) RGB each.
            seconds: time limit.

        Returns:
            For each photo its result and the milliseconds that it waited in the queue.

        Raises:
            ApiError: the queue is full, the time limit has passed, or the photos would wait for longer than it.
        """
        deadline = time.perf_counter() + seconds
        if photos and self.waiting * self._seconds / len(self._threads) > seconds:
            raise self._busy()
        jobs: list[_Job] = []
        try:
            for photo in photos:
                job = _Job(photo, deadline)
                self._jobs.put_nowait(job)
                jobs.append(job)
            return [job.result.result(max(0, deadline - time.perf_counter())) for job in jobs]
        except queue.Full:
            raise self._busy() from None
        except FutureTimeout:
            raise ApiError(
                503, "deadline", "The photo was not parsed within the time limit; try again.", self._retry_after
            ) from None
        finally:
            for job in jobs:
                if job.result.cancel():
                    del job.photo  # a cancelled job stays in the queue until its turn, but its memory is released

    def drop(self) -> None:
        """Refuse the photos in the queue."""
        while (job := self._take()) is not None:
            if job.result.set_running_or_notify_cancel():
                job.result.set_exception(self._busy())

    def close(self) -> None:
        """Finish the photos in the queue and stop the threads."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _busy(self) -> ApiError:
        return ApiError(503, "busy", "The server is busy; try again soon.", self._retry_after)

    @property
    def _retry_after(self) -> int:
        return max(1, math.ceil(self.waiting * self._seconds / len(self._threads)))

    def _run(self, parse: ParseBatch) -> None:
        while self._parse_next(parse):
            pass

    def _parse_next(self, parse: ParseBatch) -> bool:
        """Wait for jobs and run them; return False at the stop signal.

        All references to a round's photos are local variables of this method, so that the photos are freed before the
        next wait.
        """
        jobs = self._next()
        if not jobs:
            return False
        start = time.perf_counter()
        # set_running_or_notify_cancel() returns False for a job that the client has cancelled.
        jobs = [job for job in jobs if job.deadline > start and job.result.set_running_or_notify_cancel()]
        if not jobs:
            return True
        try:
            found = parse([job.photo for job in jobs])
        except Exception as error:  # passed on to the waiting requests; the worker continues
            for job in jobs:
                job.result.set_exception(error)
            return True
        self._seconds += 0.1 * ((time.perf_counter() - start) / len(jobs) - self._seconds)
        for job, parsing in zip(jobs, found, strict=True):
            job.result.set_result((parsing, 1000 * (start - job.queued)))
        return True

    def _next(self) -> list[_Job]:
        """Wait for a job and return the jobs of one call; return none at the stop signal."""
        job = self._jobs.get()
        if job is None:
            return []
        jobs = [job]
        # Take only this thread's share of the queue, so that the other threads have work too.
        share = min(self._together, math.ceil((1 + self.waiting) / len(self._threads)))
        while len(jobs) < share and (more := self._take()) is not None:
            jobs.append(more)
        return jobs

    def _take(self) -> _Job | None:
        """Return another job if one waits; leave the stop signal in the queue for the next round."""
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return None
        if job is None:
            self._jobs.put(None)
        return job
