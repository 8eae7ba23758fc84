"""Processes that are killed (kill -9) at a chosen moment of their work on files."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
"""Audit events of Python that change a folder; opening a file to write to it is another one."""


def killed(work: Callable[[], object], folder: Path, moment: int) -> bool:
    """Do work in a forked process, which is killed before it changes files in a folder for the n-th time.

    Args:
        work: the work; it must start no thread before its first change.
        folder: folder, with its subfolders.
        moment: n, from 1 on.

    Returns:
        Whether it was killed; False if it was done before.
    """
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed; its error is above"
        return os.WIFSIGNALED(status)
    try:
        die_at(folder, moment)
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def die_at(folder: Path, moment: int) -> None:
    """Kill this process before it changes files in a folder for the n-th time."""
    place, changes = str(folder.resolve()), 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal changes
        if event == "open":
            path, _, flags = arguments
            changing = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
        else:
            path, changing = arguments[0] if arguments else None, event in CHANGES
        if changing and isinstance(path, str | bytes) and os.fsdecode(path).startswith(place):
            changes += 1
            if changes == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def whole_files(folder: Path) -> dict[str, bytes]:
    """Return the content of the files in a folder and below, without temporary ones of a killed process."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    found = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    return {name: content for name, content in found.items() if ".writing-" not in name and not name.endswith(".lock")}
