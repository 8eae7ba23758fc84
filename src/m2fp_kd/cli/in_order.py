"""Work on several items at the same time, and give their results in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    size: Callable[[Item], float],
    most: float,
    ahead: int,
) -> Generator[Result]:
    """Yield the results of the items in their order.

    An error is raised in place of its item's result. Then, and when the iterator is closed, items in work are finished
    and no other is begun.

    Args:
        work: function of an item, called from threads.
        items: taken one after the other, and only when there is room.
        workers: number of threads, hence of items in work.
        size: size of an item until its work is done.
        most: sum of the sizes of all items that were taken and are not done; a larger item waits until it is alone.
        ahead: number of items that were taken and whose results were not yielded.
    """
    taken: deque[tuple[Future[Result], float]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            needed = size(item)
            _wait_for(most - needed, taken)
            taken.append((pool.submit(work, item), needed))
            while taken and (len(taken) >= ahead or taken[0][0].done()):
                yield taken.popleft()[0].result()
        while taken:
            yield taken.popleft()[0].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _wait_for(room: float, taken: Sequence[tuple[Future, float]]) -> None:
    """Wait until the sizes of the unfinished items leave room, or all are finished."""
    while (sizes := {future: size for future, size in taken if not future.done()}) and sum(sizes.values()) > room:
        wait(sizes, return_when=FIRST_COMPLETED)
