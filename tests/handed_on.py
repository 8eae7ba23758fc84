"""Files that a run leaves for others must not name the folders of the machine that made it."""

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

LOCAL = ("config.yaml", "sources.json", "train.log", "checkpoints", "metrics")
"""Files and folders of a run that only serve to resume it on the same machine."""


def handed_on(run_dir: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of every file that others get, and of every member of an archive."""
    for path in sorted(run_dir.rglob("*")):
        if path.is_file() and path.relative_to(run_dir).parts[0] not in LOCAL:
            yield path.name, path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    yield from ((f"{path.name}/{name}", archive.read(name)) for name in archive.namelist())


def named_folders(run_dir: Path, *folders: Path) -> list[str]:
    """Return the files that name one of the folders, the run's own, the code's or Python's."""
    local = [str(folder).encode() for folder in (run_dir.parent, ROOT, sys.prefix, *folders)]
    return [name for name, content in handed_on(run_dir) if any(folder in content for folder in local)]
