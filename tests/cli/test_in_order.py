"""Work on several items at the same time."""

import threading
import time
from contextlib import closing
from threading import Event, Lock

import pytest

from m2fp_kd.cli.in_order import in_order

WAIT = 10
"""Seconds after which a test fails that waits for something that never happens."""


class Work:
    """Work that counts the items which are in work, and the sum of their sizes."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.begun: list[int] = []
        self.now: list[int] = []
        self.most_items = 0
        self.most_size = 0

    def __call__(self, item: int) -> int:
        with self.lock:
            self.begun.append(item)
            self.now.append(item)
            self.most_items = max(self.most_items, len(self.now))
            self.most_size = max(self.most_size, sum(self.now))
        time.sleep(0.001)
        with self.lock:
            self.now.remove(item)
        return item


def run(work, items, workers=4, size=lambda _: 0, most=1, ahead=100):
    return in_order(work, items, workers, size, most, ahead)


@pytest.mark.parametrize("workers", [1, 4])
def test_results_come_in_the_order_of_the_items(workers):
    def slower_first(item):
        time.sleep((8 - item) / 1000)
        return item

    assert list(run(slower_first, range(8), workers)) == list(range(8))
    assert list(run(slower_first, [], workers)) == []


def test_items_are_worked_on_at_the_same_time():
    together = threading.Barrier(3)
    assert list(run(lambda _: together.wait(WAIT), range(3), workers=3))


def test_no_more_items_are_in_work_than_workers():
    work = Work()
    list(run(work, range(40), workers=3))
    assert 1 <= work.most_items <= 3


def test_the_items_in_work_are_no_larger_than_allowed():
    work = Work()
    sizes = [5, 5, 9, 1, 1, 30, 2, 2, 2, 2, 2, 9]
    assert list(run(work, sizes, size=lambda item: item, most=10)) == sizes
    assert work.most_size == 30, "a larger one is worked on alone"
    work = Work()
    list(run(work, [4] * 20, size=lambda item: item, most=10))
    assert work.most_size <= 8


def test_a_slow_reader_holds_the_work_back():
    work = Work()
    with closing(run(work, iter(range(100)), ahead=6)) as results:
        assert next(results) == 0
        time.sleep(0.05)
        assert len(work.begun) <= 1 + 6
        assert list(results) == list(range(1, 100))


def test_a_slow_item_holds_back_only_what_is_far_ahead():
    go, work = Event(), Work()

    def first_waits(item):
        if item == 0:
            assert go.wait(WAIT)
        elif item == 9:
            go.set()
        return work(item)

    assert list(run(first_waits, range(20), workers=2, ahead=10)) == list(range(20))


def test_an_error_comes_in_place_of_its_result_and_ends_the_work():
    work = Work()

    def second_fails(item):
        if item == 1:
            raise OSError("full")
        return work(item)

    results = run(second_fails, range(1000), workers=2, ahead=8)
    assert next(results) == 0
    with pytest.raises(OSError, match="full"):
        next(results)
    done = len(work.begun)
    time.sleep(0.02)
    assert work.now == [] and len(work.begun) == done <= 10


def test_closing_finishes_what_is_in_work_and_begins_nothing():
    begun, go = Event(), Event()
    finished = []

    def waits(item):
        if item:
            begun.set()
        assert (go if item else begun).wait(WAIT)
        finished.append(item)
        return item

    results = run(waits, range(100), workers=2, ahead=2)
    assert next(results) == 0
    threading.Timer(0.02, go.set).start()
    results.close()
    assert finished == [0, 1]
