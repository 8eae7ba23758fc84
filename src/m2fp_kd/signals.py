"""Handlers of the signals that stop a program: Ctrl-C, SIGTERM and SIGHUP."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

Handler = Callable[[int, FrameType | None], Any]

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
TERMINATED = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """SIGTERM arrived; as an exception it removes temporary files on its way."""


@contextmanager
def handled(handler: Handler, numbers: Sequence[int] = STOPPING) -> Iterator[None]:
    """Call ``handler`` for signals inside the context, unless they are ignored, as SIGHUP is under `nohup`.

    Python allows handlers in the main thread only; in another thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    for number, earlier in before.items():
        if earlier is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` inside the context where SIGTERM arrives."""

    def stop(*_: object) -> NoReturn:
        raise Terminated(TERMINATED)

    with handled(stop, [signal.SIGTERM]):
        yield


@contextmanager
def dying_with(advice: str) -> Iterator[None]:
    """Print what to do where a signal kills the program inside the context.

    The program then dies of the signal at once, since imports, which take seconds, may swallow an exception.
    """

    def die(number: int, _: object) -> None:
        os.write(2, f"m2fp-kd: stopped by {signal.Signals(number).name}; {advice}\n".encode())
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    with handled(die):
        yield


def leave(number: int, frame: FrameType | None = None) -> None:
    """Exit with the code that a shell gives to a program that this signal killed, such as 143 for SIGTERM.

    Raises:
        SystemExit: always.
    """
    raise SystemExit(128 + number)
