"""A progress bar in the last line of the terminal."""

import shutil
import sys
import time

WIDTH = 20
INTERVAL = 0.1
"""Seconds between two updates, because photos may finish faster than a terminal draws."""


class Progress:
    """A progress bar on stderr; silent where stderr is not a terminal.

    Args:
        total: number of steps; None if unknown.
    """

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.started = time.monotonic()
        self.shown = -INTERVAL

    def show(self, done: int, what: str) -> None:
        """Show the number of finished steps and the name of the current one."""
        now = time.monotonic()
        if sys.stderr.isatty() and now - self.shown >= INTERVAL:
            self.shown = now
            columns = shutil.get_terminal_size().columns
            line = bar(done, self.total, now - self.started, what)
            print(f"\r\x1b[K{line[: columns - 1]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Erase the bar."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def bar(done: int, total: int | None, seconds: float, what: str) -> str:
    """Return the bar's text after `done` of `total` steps, which took `seconds`.

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
