"""A model behind a bounded queue: photos wait, neighbours in the queue share a call, late ones are dropped."""

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
from m2fp_kd.serve.memory_budget import Room

Parse = Callable[[list[Any]], list[Parsing]]
"""A `Parser` called with a list of photos."""


@dataclass
class _Job:
    photo: np.ndarray
    deadline: float
    queued: float = field(default_factory=time.perf_counter)
    result: "Future[tuple[Parsing, float]]" = field(default_factory=Future)


class Worker:
    """Runs photos through a model, in as many threads as there are parsers.

    Args:
        parsers: one for each thread, or the same for several if it can be called by them at the same time.
        waiting: photos that may wait; more are refused.
        together: most photos in one call.
        megabytes: 10^6 bytes for which requests have room.
    """

    def __init__(self, parsers: Sequence[Parse], waiting: int, together: int, megabytes: float = math.inf) -> None:
        self._room = Room(1e6 * megabytes)
        self._jobs: queue.Queue[_Job | None] = queue.Queue(waiting)
        self._together = together
        self._seconds = 0.1  # of a photo, a running mean
        self._threads = [threading.Thread(target=self._run, args=(parse,), daemon=True) for parse in parsers]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Photos in the queue."""
        return self._jobs.qsize()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that requests have taken."""
        return self._room.taken

    @property
    def ready(self) -> bool:
        """Whether photos are taken."""
        return all(thread.is_alive() for thread in self._threads) and not (self._jobs.full() or self._room.full)

    @contextmanager
    def place(self, sizes: Sequence[int]) -> Iterator[None]:
        """Room for a request, from before its photos are decoded until its answers are made.

        Args:
            sizes: bytes that each of its photos takes.

        Raises:
            ApiError: there is no room.
        """
        size, most = sum(sizes), self._room.most
        # A few bytes of upload may be gigabytes of pixels: only what cannot be sent in parts is let in beyond the room.
        if len(sizes) > 1 and size > most:
            needed = f"These photos need {size / 1e6:.1f} MB of memory; there is room for {most / 1e6:.1f} MB."
            raise ApiError(413, "batch_too_large", f"{needed} Send fewer at a time.")
        try:
            self._room.take(size)
        except queue.Full:
            raise self._busy() from None
        try:
            yield
        finally:
            self._room.leave(size)

    def parse(self, photos: Sequence[np.ndarray], seconds: float) -> list[tuple[Parsing, float]]:
        """Parse photos, waiting for it at most so many seconds.

        Args:
            photos: uint8 (H, W, 3) RGB.
            seconds: until they are given up.

        Returns:
            For each photo what was found, and the milliseconds that it waited.

        Raises:
            ApiError: the queue is full, or the time is over.
        """
        deadline = time.perf_counter() + seconds
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
                503, "deadline", f"The photo was not parsed within {seconds:g} s; try again.", self._retry_after
            ) from None
        finally:
            for job in jobs:
                if job.result.cancel():
                    del job.photo  # what is given up stays in the queue until its turn, and has no room any more

    def close(self) -> None:
        """Finish what was begun and stop."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _busy(self) -> ApiError:
        return ApiError(503, "busy", "All places in the queue are taken; try again soon.", self._retry_after)

    @property
    def _retry_after(self) -> int:
        return max(1, math.ceil(self.waiting * self._seconds / len(self._threads)))

    def _run(self, parse: Parse) -> None:
        while self._parse_next(parse):
            pass

    def _parse_next(self, parse: Parse) -> bool:
        """Wait for jobs and do them; False at the sign to stop.

        All that a round knows is in names of this method: they go, and with them the photos, before the next wait.
        """
        jobs = self._next()
        if not jobs:
            return False
        start = time.perf_counter()
        # False where the client has given up meanwhile.
        jobs = [job for job in jobs if job.deadline > start and job.result.set_running_or_notify_cancel()]
        if not jobs:
            return True
        try:
            found = parse([job.photo for job in jobs])
        except Exception as error:  # whoever waits for it is told; the worker goes on
            for job in jobs:
                job.result.set_exception(error)
            return True
        self._seconds += 0.1 * ((time.perf_counter() - start) / len(jobs) - self._seconds)
        for job, parsing in zip(jobs, found, strict=True):
            job.result.set_result((parsing, 1000 * (start - job.queued)))
        return True

    def _next(self) -> list[_Job]:
        """Jobs for one call, once there are some; none at the sign to stop."""
        job = self._jobs.get()
        if job is None:
            return []
        jobs = [job]
        # Its share of what waits, so that no other thread is left without work.
        share = min(self._together, math.ceil((1 + self.waiting) / len(self._threads)))
        while len(jobs) < share and (more := self._take()) is not None:
            jobs.append(more)
        return jobs

    def _take(self) -> _Job | None:
        """Another job, if one waits; the sign to stop is left for the next round."""
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return None
        if job is None:
            self._jobs.put(None)
        return job
