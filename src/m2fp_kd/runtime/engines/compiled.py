"""What OpenVINO made of a model is kept, so that later starts take a fraction of the first.

OpenVINO's own cache (`CACHE_DIR`) would do the same, but takes a fifth of a second longer to write.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from m2fp_kd.runtime.files import atomic_path, file_sha256, model_files

DIGEST = hashlib.sha256().digest_size

KEPT = 64
"""Files in the cache, each for one model, size and setting; the ones used longest ago make room."""


def compiled_file(model: Path, made_with: Mapping[str, object]) -> Path | None:
    """The file for what is compiled from a model, in the user's cache (``$XDG_CACHE_HOME``, ``~/.cache``).

    Models are told by their content, so that one that was overwritten is another.

    Args:
        model: what is compiled.
        made_with: the versions, settings and sizes that it is compiled with.

    Returns:
        Where it is, or is to be; None where nothing can be written, as in a read-only container.
    """
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "m2fp-kd" / "openvino"
        root.mkdir(parents=True, exist_ok=True)
        _make_room(root)
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    content = "-".join(file_sha256(file)[:16] for file in model_files(model))
    how = hashlib.sha256(repr(sorted(made_with.items())).encode()).hexdigest()[:16]
    return root / f"{content}-{how}.blob" if os.access(root, os.W_OK) else None


def read_compiled(file: Path) -> bytes | None:
    """What `write_compiled` wrote; None where there is nothing, or not that any more."""
    try:
        with file.open("rb") as content:
            digest, compiled = content.read(DIGEST), content.read()
        file.touch()
    except OSError:
        return None
    return compiled if hashlib.sha256(compiled).digest() == digest else None


def write_compiled(file: Path, compiled: bytes) -> None:
    """Keep what was compiled, its hash before it: OpenVINO runs a damaged one and answers something."""
    with suppress(OSError), atomic_path(file) as temporary, temporary.open("wb") as content:
        content.write(hashlib.sha256(compiled).digest())  # a disk that is full costs the next start half a second
        content.write(compiled)


def _make_room(root: Path) -> None:
    used = {path: path.stat().st_mtime for path in root.glob("*.blob")}
    for file in sorted(used, key=used.__getitem__)[:-KEPT]:
        file.unlink(missing_ok=True)  # another process may be at it too
