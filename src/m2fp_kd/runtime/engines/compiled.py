"""What OpenVINO made of a model is kept, so that later starts take a fraction of the first.

OpenVINO's own cache (`CACHE_DIR`) would do the same, but takes a fifth of a second longer to write.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from m2fp_kd.runtime.files import atomic_path, file_sha256, model_files

DIGEST = hashlib.sha256().digest_size

KEPT = 16
"""Compiled models in the cache; the ones used longest ago make room."""


def compiled_folder(model: Path) -> Path | None:
    """The folder for what is compiled from these very files, in the user's cache (``$XDG_CACHE_HOME``, ``~/.cache``).

    Files are told by their hash, so that one that was overwritten is another.

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


def compiled_file(folder: Path, made_with: Mapping[str, object]) -> Path:
    """The file in a model's folder for what was compiled with these versions, settings and sizes."""
    return folder / f"{hashlib.sha256(repr(sorted(made_with.items())).encode()).hexdigest()[:32]}.blob"


def read_compiled(file: Path) -> bytes | None:
    """What `write_compiled` wrote; None where there is nothing, or not that any more."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    digest, compiled = content[:DIGEST], content[DIGEST:]
    return compiled if hashlib.sha256(compiled).digest() == digest else None


def write_compiled(file: Path, compiled: bytes) -> None:
    """Keep what was compiled, its hash before it: OpenVINO runs a damaged one and answers something."""
    with suppress(OSError), atomic_path(file) as temporary:  # a full disk costs the next start half a second
        temporary.write_bytes(hashlib.sha256(compiled).digest() + compiled)


def _make_room(root: Path) -> None:
    used = {path: path.stat().st_mtime for path in root.iterdir() if path.is_dir()}
    for folder in sorted(used, key=used.__getitem__)[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)  # another process may be at it too
