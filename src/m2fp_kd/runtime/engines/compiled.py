"""Where OpenVINO keeps what it made of a model, so that later starts take a fraction of the first."""

import os
import shutil
from pathlib import Path

from m2fp_kd.runtime.files import file_sha256, model_files

KEPT = 16
"""Compiled models in the cache; the ones used longest ago make room."""


def compiled_folder(model: Path) -> Path | None:
    """The folder for what is compiled from these very files, in the user's cache (``$XDG_CACHE_HOME``, ``~/.cache``).

    OpenVINO itself tells files by path and time; the hash in the folder's name also tells files that were overwritten.

    Returns:
        The folder, made if need be; None where nothing can be written, as in a read-only container.
    """
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "m2fp-kd" / "openvino"
        folder = root / "-".join(file_sha256(file)[:16] for file in model_files(model))
        folder.mkdir(parents=True, exist_ok=True)
        folder.touch()
        _make_room(root)
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    return folder if os.access(folder, os.W_OK) else None


def _make_room(root: Path) -> None:
    used = {path: path.stat().st_mtime for path in root.iterdir() if path.is_dir()}
    for folder in sorted(used, key=used.__getitem__)[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)  # another process may be at it too
