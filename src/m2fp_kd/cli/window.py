"""A window that shows frames, where there is a display."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class Window:
    """A window of tkinter; the keys q and Escape close it.

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

    def show(self, image: "np.ndarray") -> None:
        """Show an image, uint8 (H, W, 3) RGB, and take what the user did since the last one."""
        from PIL import Image, ImageTk

        if not self.closed:
            self._shown = ImageTk.PhotoImage(Image.fromarray(image), master=self._root)  # tkinter keeps no reference
            self._picture.configure(image=self._shown)  # type: ignore[call-overload]
            self._root.update()

    def close(self) -> None:
        """Close the window."""
        if not self.closed:
            self.closed = True
            self._root.destroy()


def open_window(title: str) -> Window | None:
    """Open a window; None where there is no display or no tkinter."""
    if not os.environ.get("DISPLAY"):
        return None
    try:
        from tkinter import TclError
    except ImportError:
        return None
    try:
        return Window(title)
    except TclError:
        return None
