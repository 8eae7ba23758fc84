"""A progress bar in the terminal's last line."""

import shutil
import sys
import time

WIDTH = 20
INTERVAL = 0.1
"""Seconds between two drawings: photos may come faster than a terminal shows them."""


class Progress:
    """A bar on stderr; nothing is shown where that is no terminal.

    Args:
        total: steps; None if nobody knows.
    """

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.started = time.monotonic()
        self.shown = -INTERVAL

    def show(self, done: int, what: str) -> None:
        """Say how many steps are done, and what is being done."""
        now = time.monotonic()
        if sys.stderr.isatty() and now - self.shown >= INTERVAL:
            self.shown = now
            columns = shutil.get_terminal_size().columns
            line = bar(done, self.total, now - self.started, what)
            print(f"\r\x1b[K{line[: columns - 1]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the bar away."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def bar(done: int, total: int | None, seconds: float, what: str) -> str:
    """What is shown when `done` steps of `total` took so many seconds.

    >>> bar(5, 20, 10.0, "photo.jpg")
    '█████░░░░░░░░░░░░░░░ 5/20  0.5/s  0:30 left  photo.jpg'
    """
    if not total:
        return f"{done}  {what}"
    filled = min(WIDTH, WIDTH * done // total)
    words = [f"{'█' * filled}{'░' * (WIDTH - filled)} {done}/{total}"]
    if done and seconds:
        minutes, rest = divmod(round(seconds / done * max(total - done, 0)), 60)
        words += [f"{done / seconds:.1f}/s", f"{minutes}:{rest:02} left"]
    return "  ".join([*words, what])
