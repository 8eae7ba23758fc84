"""Read a photo in a process of its own, where its decoder keeps all other threads of Python waiting, as WebP's does.

As a program, it reads a file from standard input, and writes the photo's height and width, uint32 each, and its pixels.
"""

import math
import signal
import subprocess
import sys
import threading

import numpy as np

from m2fp_kd.runtime.geometry import read_photo
from m2fp_kd.runtime.photo_file import PhotoError

BROKEN = 3
"""Exit code for a file that cannot be read."""

STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals by which a terminal or systemd stops a server's processes all at once; a server finishes its photos first."""


def read_apart(data: bytes, seconds: float) -> np.ndarray:
    """Read a photo of any size as uint8 (H, W, 3) RGB, upright by EXIF.

    Args:
        data: bytes of the file.
        seconds: time limit.

    Raises:
        PhotoError: the photo is broken.
        TimeoutError: the time limit has passed.
    """
    if threading.current_thread() is not threading.main_thread():
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # the new process inherits the mask
    command = [sys.executable, "-m", "m2fp_kd.runtime.apart"]
    try:
        done = subprocess.run(command, input=data, stdout=subprocess.PIPE, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    if done.returncode == BROKEN:
        raise PhotoError("photo: cannot be read as a photo")
    done.check_returncode()
    height, width = np.frombuffer(done.stdout, np.uint32, 2)
    return np.frombuffer(done.stdout, np.uint8, offset=8).reshape(height, width, 3)


def main() -> int:
    """Read the file at standard input; return the exit code."""
    try:
        photo = read_photo(sys.stdin.buffer.read(), megapixels=math.inf)
    except PhotoError:
        return BROKEN
    sys.stdout.buffer.write(np.array(photo.shape[:2], np.uint32).tobytes())
    sys.stdout.buffer.write(photo.data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
