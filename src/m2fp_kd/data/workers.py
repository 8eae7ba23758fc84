"""Processes that load photos."""

import os
import threading
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.context import BaseContext


def start_method() -> BaseContext:
    """Return how these processes are started.

    A process that is forked after an inference engine has started its threads crashes. So Python forks them from a
    server without threads, which imports PyTorch once for all of them. Where there is no fork, each is spawned and
    imports it itself.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["m2fp_kd.data.dataset"])
    return context


def end_with_parent(worker: int = 0) -> None:
    """End this process as soon as the one that started it has ended, even if it was killed before this call.

    PyTorch's workers notice the end of their parent only if it lived when they had started, which takes seconds.
    """
    threading.Thread(target=_wait, name="end-with-parent", daemon=True).start()


def _wait() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
