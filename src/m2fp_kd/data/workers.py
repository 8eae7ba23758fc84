"""Processes that load photos."""

import multiprocessing
import os
import threading


def end_with_parent(worker: int = 0) -> None:
    """End this process as soon as the one that started it has ended, even if it was killed before this call.

    PyTorch's workers notice the end of their parent only if it lived when they had started, which takes seconds.
    """
    threading.Thread(target=_wait, name="end-with-parent", daemon=True).start()


def _wait() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
