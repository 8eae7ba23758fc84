"""File names that file systems allow and programs break on."""

import os
from pathlib import Path

LONGEST = 255
"""Bytes of a file name on ext4, XFS, Btrfs and APFS."""

NAMES = {
    "spaces": " two  words .png",
    "option": "-rf.png",
    "quotes": "a'b\"c.png",
    "shell": "$(reboot);&|.png",
    "pattern": "[a]*?.png",
    "override": "a=b,{c}.png",
    "percent": "%s%d%20.png",
    "newline": "a\nb.png",
    "escape": "\x1b[31mred.png",
    "right to left": "\u202egnp.png",
    "emoji": "👩‍🦰.png",
    "decomposed": "u\u0308.png",
    "no stem": "..png",
    "two endings": "a.jpg.png",
    "GBK bytes": os.fsdecode("照片.png".encode("gbk")),
    "long": "n" * 242 + ".png",
    "longest": "n" * (LONGEST - 4) + ".png",
}
"""Kind -> name of a photo, its ending included."""


def create(folder: Path, name: str, data: bytes) -> Path | None:
    """Write a file; return its path, or None where the file system refuses the name."""
    path = folder / name
    try:
        path.write_bytes(data)
    except (OSError, ValueError):
        return None
    return path


def link_to_itself(folder: Path, name: str = "again") -> Path:
    """Make a folder that contains itself through a link, so that an unguarded walk never ends."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / name
    link.symlink_to(folder.resolve(), target_is_directory=True)
    return link
