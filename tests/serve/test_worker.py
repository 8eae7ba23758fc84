"""The queue of a model: order, batches, and errors when it is full, late or broken."""

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.worker import Worker


def photo(value):
    return np.full((2, 2, 3), value, np.uint8)


class Slow:
    """Stands in for a parser: returns the photo's value once `go` is set, and records the size of each call."""

    def __init__(self):
        self.go = threading.Event()
        self.busy = threading.Event()
        self.calls = []

    def __call__(self, photos):
        self.calls.append(len(photos))
        self.busy.set()
        assert self.go.wait(10)
        if any(one[0, 0, 0] == 99 for one in photos):
            raise RuntimeError("no such photo")
        return [int(one[0, 0, 0]) for one in photos]


@pytest.fixture
def slow():
    return Slow()


def in_the_background(pool, worker, value, seconds=10):
    return pool.submit(worker.parse, [photo(value)], seconds)


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.001)


def test_waiting_photos_share_calls_and_each_gets_its_own_result(slow):
    worker = Worker([slow], waiting=8, together=3)
    with ThreadPoolExecutor() as pool:
        first = in_the_background(pool, worker, 0)
        slow.busy.wait(10)
        others = [in_the_background(pool, worker, value) for value in range(1, 6)]
        until(lambda: worker.waiting == 5)
        slow.go.set()
        assert [one.result()[0][0] for one in [first, *others]] == list(range(6))
    worker.close()
    assert slow.calls == [1, 3, 2]


def test_streams_share_the_waiting_photos():
    streams = [Slow(), Slow()]
    worker = Worker(streams, waiting=8, together=4)
    with ThreadPoolExecutor() as pool:
        first = [in_the_background(pool, worker, value) for value in (0, 1)]
        assert all(stream.busy.wait(10) for stream in streams)
        others = [in_the_background(pool, worker, value) for value in range(2, 6)]
        until(lambda: worker.waiting == 4)
        streams[0].go.set()
        until(lambda: len(streams[0].calls) > 1)
        streams[1].go.set()
        assert [one.result()[0][0] for one in [*first, *others]] == list(range(6))
    worker.close()
    assert streams[0].calls[:2] == [1, 2], "the other stream gets half of the four"


def test_a_full_queue_refuses_further_photos_at_once(slow):
    worker = Worker([slow], waiting=2, together=1)
    with ThreadPoolExecutor() as pool:
        taken = [in_the_background(pool, worker, 1)]
        slow.busy.wait(10)
        taken += [in_the_background(pool, worker, value) for value in (2, 3)]
        until(lambda: worker.waiting == 2)
        assert not worker.ready
        with pytest.raises(ApiError) as refused:
            worker.parse([photo(4)], 10)
        assert (refused.value.status, refused.value.code) == (503, "busy") and refused.value.retry_after >= 1
        slow.go.set()
        assert [one.result()[0][0] for one in taken] == [1, 2, 3]
    assert worker.ready
    worker.close()


def test_a_late_photo_is_never_parsed(slow):
    worker = Worker([slow], waiting=4, together=1)
    with ThreadPoolExecutor() as pool:
        first = in_the_background(pool, worker, 1)
        slow.busy.wait(10)
        with pytest.raises(ApiError) as late:
            worker.parse([photo(2)], 0.05)
        assert late.value.code == "deadline" and late.value.retry_after >= 1
        slow.go.set()
        assert first.result()[0][0] == 1
        assert worker.parse([photo(3)], 10)[0][0] == 3
    worker.close()
    assert slow.calls == [1, 1]


def test_a_photo_that_cannot_make_its_deadline_is_refused_at_once(slow):
    worker = Worker([slow], waiting=8, together=1)
    worker._seconds = 5.0
    with ThreadPoolExecutor() as pool:
        taken = [in_the_background(pool, worker, 1, 20)]  # an empty queue is never too long
        slow.busy.wait(10)
        taken.append(in_the_background(pool, worker, 2, 20))
        until(lambda: worker.waiting == 1)
        with pytest.raises(ApiError) as refused:
            worker.parse([photo(3)], 4)
        assert refused.value.code == "busy" and refused.value.retry_after == 5
        slow.go.set()
        assert [one.result()[0][0] for one in taken] == [1, 2]
    worker.close()


def test_a_failure_reaches_its_own_requests_and_the_next_photo_is_parsed(slow):
    slow.go.set()
    worker = Worker([slow], waiting=4, together=1)
    with pytest.raises(RuntimeError, match="no such photo"):
        worker.parse([photo(99)], 10)
    assert worker.parse([photo(5)], 10)[0][0] == 5 and worker.ready
    worker.close()


def test_an_idle_worker_holds_no_photo_and_no_result():
    class Found:
        pass

    worker = Worker([lambda photos: [Found() for _ in photos]], waiting=4, together=2)

    def ask():
        photos = [photo(1), photo(2)]
        return [weakref.ref(one) for one in [*photos, *(found for found, _ in worker.parse(photos, 10))]]

    held = ask()
    until(lambda: all(one() is None for one in held))
    worker.close()


def test_several_streams_run_at_the_same_time():
    streams = [Slow(), Slow()]
    worker = Worker(streams, waiting=4, together=1)
    with ThreadPoolExecutor() as pool:
        both = [in_the_background(pool, worker, value) for value in (1, 2)]
        assert all(stream.busy.wait(10) for stream in streams)
        for stream in streams:
            stream.go.set()
        assert sorted(one.result()[0][0] for one in both) == [1, 2]
    worker.close()


def test_closing_finishes_the_queue(slow):
    worker = Worker([slow], waiting=4, together=2)
    with ThreadPoolExecutor() as pool:
        futures = [in_the_background(pool, worker, value) for value in (1, 2)]
        until(slow.busy.is_set)
        slow.go.set()
        worker.close()
        assert sorted(one.result()[0][0] for one in futures) == [1, 2]


def test_dropping_refuses_the_queue_only(slow):
    worker = Worker([slow], waiting=4, together=1)
    with ThreadPoolExecutor() as pool:
        taken = in_the_background(pool, worker, 1)
        slow.busy.wait(10)
        waiting = [in_the_background(pool, worker, value) for value in (2, 3)]
        until(lambda: worker.waiting == 2)
        worker.drop()
        for one in waiting:
            with pytest.raises(ApiError) as refused:
                one.result(10)
            assert refused.value.code == "busy"
        slow.go.set()
        assert taken.result()[0][0] == 1
    worker.close()
