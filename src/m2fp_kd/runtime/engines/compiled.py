"""Cache models that OpenVINO compiled, so that later starts take a fraction of the time.

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
"""Maximum number of files in the cache, one per model, size and setting; the least recently used are removed."""


def compiled_file(model: Path, made_with: Mapping[str, object]) -> Path | None:
    """Return the path of a compiled model in the user's cache (``$XDG_CACHE_HOME``, ``~/.cache``).

    Models are identified by their content, so a model that was overwritten gets another path.

    Args:
        model: file of the model before compilation.
        made_with: versions, settings and sizes that it is compiled with.

    Returns:
        The path, where a file may or may not exist; None where the cache is not writable, as in a read-only container.
    """
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "m2fp-kd" / "openvino"
        root.mkdir(parents=True, exist_ok=True)
        _make_room(root)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home
        return None
    content = "-".join(file_sha256(file)[:16] for file in model_files(model))
    how = hashlib.sha256(repr(sorted(made_with.items())).encode()).hexdigest()[:16]
    return root / f"{content}-{how}.blob" if os.access(root, os.W_OK) else None


def read_compiled(file: Path) -> bytes | None:
    """Return what `write_compiled` wrote; None if the file is missing or damaged."""
    try:
        with file.open("rb") as content:
            digest, compiled = content.read(DIGEST), content.read()
        file.touch()
    except OSError:
        return None
    return compiled if hashlib.sha256(compiled).digest() == digest else None


def write_compiled(file: Path, compiled: bytes) -> None:
    """Write a compiled model after its hash, because OpenVINO runs a damaged one and returns garbage."""
    with suppress(OSError), atomic_path(file) as temporary, temporary.open("wb") as content:
        content.write(hashlib.sha256(compiled).digest())  # a full disk costs the next start half a second
        content.write(compiled)


def _make_room(root: Path) -> None:
    used = {path: path.stat().st_mtime for path in root.glob("*.blob")}
    for file in sorted(used, key=used.__getitem__)[:-KEPT]:
        file.unlink(missing_ok=True)  # another process may remove it too
