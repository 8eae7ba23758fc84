"""A window that shows frames, where there is a display."""

import os
import signal
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PATIENCE = 0.02
"""Seconds that a window waits for a frame before it handles what the user did."""


class Window:
    """A window in a process of its own. A display that dies ends that process, and not this one with its recordings.

    Args:
        title: its title.

    Attributes:
        opened: whether there is a display that shows it.
    """

    def __init__(self, title: str) -> None:
        context = get_context("spawn")
        self._frames, theirs = context.Pipe()
        self._process = context.Process(target=_display, args=(theirs, title), daemon=True)
        self._process.start()
        theirs.close()
        self._waits = self.opened = self._answers()

    @property
    def closed(self) -> bool:
        """Whether the user closed the window, or its display died."""
        return not self._process.is_alive()

    def show(self, image: "np.ndarray") -> None:
        """Show an image, uint8 (H, W, 3) RGB; leave it out while the window still draws another one."""
        with suppress(OSError):  # the window was closed
            if self._frames.poll():
                self._waits = self._answers()
            if self._waits:
                self._frames.send(image)
                self._waits = False

    def close(self) -> None:
        """Close the window."""
        self._frames.close()
        self._process.join(timeout=5.0)
        self._process.kill()

    def _answers(self) -> bool:
        """Wait until the window wants a frame; return False where it never will."""
        try:
            self._frames.recv()
            return True
        except (EOFError, OSError):
            return False


class Screen:
    """A window of tkinter in this process; the keys q and Escape close it.

    Args:
        title: its title.

    Raises:
        ImportError: Python was built without tkinter.
        tkinter.TclError: the display cannot be opened.
    """

    def __init__(self, title: str) -> None:
        import tkinter

        self._root = tkinter.Tk()
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self.close)
        self._root.bind("<q>", lambda _: self.close())
        self._root.bind("<Escape>", lambda _: self.close())
        self._picture = tkinter.Label(self._root)
        self._picture.pack()
        self.closed = False

    def draw(self, image: "np.ndarray") -> None:
        """Draw an image, uint8 (H, W, 3) RGB."""
        from PIL import Image, ImageTk

        self._shown = ImageTk.PhotoImage(Image.fromarray(image), master=self._root)  # tkinter keeps no reference
        self._picture.configure(image=self._shown)  # type: ignore[call-overload]
        self.update()

    def update(self) -> None:
        """Handle what the user did."""
        self._root.update()

    def close(self) -> None:
        """Close the window."""
        self.closed = True
        self._root.destroy()


def _display(frames: Connection, title: str) -> None:
    """Show the frames that arrive, and ask for each after the last one, until an end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the first one decides
    try:
        from tkinter import TclError
    except ImportError:
        return
    with suppress(EOFError, OSError, TclError):
        screen = Screen(title)
        frames.send(True)
        while not screen.closed:
            if frames.poll(PATIENCE):
                screen.draw(frames.recv())
                frames.send(True)
            else:
                screen.update()


def open_window(title: str) -> Window | None:
    """Open a window; None where there is no display or no tkinter."""
    if not os.environ.get("DISPLAY"):
        return None
    window = Window(title)
    if not window.opened:
        window.close()
        return None
    return window
