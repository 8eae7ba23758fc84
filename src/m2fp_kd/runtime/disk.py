"""A disk that takes no more data."""

import errno
import shutil
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of such a disk."""


def require_space(folder: Path, needed: int, what: str) -> None:
    """Make a folder, and refuse to begin what has no space there.

    Args:
        folder: folder on the disk.
        needed: bytes that will be written.
        what: what needs them, in the plural.

    Raises:
        OSError: the disk has too little space; the error names the folder and both sizes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        sizes = f"{what} need {needed / 1e6:,.0f} MB more, and {free / 1e6:,.0f} MB are free"
        raise OSError(errno.ENOSPC, f"no space left ({sizes})", str(folder))
