"""Read the tensors of checkpoints that other programs wrote, without running code from them."""

import pickle
import shlex
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict", "state_dict_ema", "model_ema", "model", "model_state", "net", "teacher")
"""Keys under which training programs save a state dict beside their own state."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.", "encoder.")
"""Prefixes of wrappers (DataParallel, torch.compile, training modules); removed where all names have one."""

KINDS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`",
    b"<": "a web page, not a checkpoint; download the file itself",
    b"\x89HDF": "an HDF5 file of Keras, not of PyTorch; choose weights for PyTorch",
    b"\x1f\x8b": "a gzip archive; unpack it first",
}
"""First bytes of files that are often mistaken for checkpoints -> what they are and what to do."""

_NUMPY: list[Any] = [
    np.ndarray,
    np.dtype,
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
]
"""NumPy's own builders, which run no foreign code; a score saved as a NumPy scalar needs them."""


def read_state(path: str | Path, option: str) -> dict[str, Tensor]:
    """Read the state dict of a `.safetensors` file or of a PyTorch checkpoint, out of any usual wrapper.

    Args:
        path: the file.
        option: option of the user that names the file, for messages.

    Returns:
        Tensors by name, without the wrappers' prefixes.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is no checkpoint, or holds more than tensors; the message says what it is and how to
            convert it.
    """
    where, path = f"{option}={path}", Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{where}: no such file")
    state = _unwrapped(_read(path, where))
    if not isinstance(state, Mapping) or not state or not all(isinstance(key, str) for key in state):
        raise ValueError(f"{where}: expected a state dict (tensor name -> tensor), this file has none")
    tensors = {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in state.items()}
    if others := [key for key, value in tensors.items() if not isinstance(value, Tensor)]:
        raise ValueError(
            f"{where}: expected a state dict (tensor name -> tensor), but {', '.join(others[:3])} is no tensor; save "
            "the network's state_dict() alone"
        )
    return _without_prefixes(tensors)


def _read(path: Path, where: str) -> Any:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals(_NUMPY), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of any kind: the unpickler may read the bytes of any file
        raise ValueError(f"{where}: {_kind(path)}") from error


def _kind(path: Path) -> str:
    """Describe a file that could not be read, and how to convert it."""
    with path.open("rb") as file:
        head = file.read(32)
    for start, description in KINDS.items():
        if head.lstrip().startswith(start):
            return description
    name, target = shlex.quote(str(path)), shlex.quote(str(path.with_suffix(".tensors.pth")))
    if head.startswith(b"PK"):
        return _archive_kind(path, name, target)
    if head.startswith(b"\x80") and path.suffix != ".safetensors":
        return (
            "a pickle, as detectron2 writes; loading it can run code, so it is not loaded. If you trust it: "
            "python -c \"import sys, pickle, torch; d = pickle.load(open(sys.argv[1], 'rb'), encoding='latin1'); "
            "torch.save({k: torch.as_tensor(v) for k, v in d.get('model', d).items()}, sys.argv[2])\" "
            f"{name} {target}"
        )
    return "broken or no checkpoint; download or copy it again"


def _archive_kind(path: Path, name: str, target: str) -> str:
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (RuntimeError, ValueError, pickle.UnpicklingError):
        foreign = []
    if not foreign:
        return "a TorchScript file, a broken checkpoint or another archive; give the network's state_dict()"
    return (
        f"a checkpoint with objects besides tensors ({', '.join(foreign[:3])}); loading them can run code, so it is "
        "not loaded. If you trust it: python -c \"import sys, torch; d = torch.load(sys.argv[1], map_location='cpu', "
        "weights_only=False); torch.save(d.get('state_dict', d.get('model', d)), sys.argv[2])\" "
        f"{name} {target}"
    )


def _unwrapped(content: Any) -> Any:
    while isinstance(content, Mapping):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    return content


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state
