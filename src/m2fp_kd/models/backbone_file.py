"""Load the files of pretrained backbones that `stage=pretrain` writes and the package contains."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from m2fp_kd.models.misfits import misfits

FORMAT = "m2fp-kd backbone, version 1"
"""Format of the files that `m2fp_kd.checkpoints.backbone` writes."""

PACKAGED = "m2fp_kd"
"""Value of `backbone.weights` that chooses the weights in the package."""

PACKAGED_FOLDER = Path(__file__).parents[1] / "pretrained"


def packaged_weights(name: str) -> str:
    """Return the file of a backbone's weights in the package.

    Raises:
        FileNotFoundError: the package has none for this backbone; the message names those that have.
    """
    path = PACKAGED_FOLDER / f"{name}.safetensors"
    if not path.is_file():
        others = ", ".join(sorted(file.stem for file in PACKAGED_FOLDER.glob("*.safetensors"))) or "no backbone"
        raise FileNotFoundError(
            f"backbone.weights={PACKAGED}: the package has weights of {others}, not of {name}. Make your own with "
            f"stage=pretrain backbone={name}, or give another file with backbone.weights=FILE"
        )
    return str(path)


def backbone_card(path: str) -> dict[str, str] | None:
    """Return the card in a file that `stage=pretrain` wrote; None for any other file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is broken.
    """
    if not path.endswith(".safetensors"):
        return None
    if not Path(path).is_file():
        raise FileNotFoundError(f"backbone.weights={path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            card = dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{path} is not a complete safetensors file ({error}); make or copy it again") from error
    return card if card.get("format") == FORMAT else None


def load_backbone(backbone: nn.Module, path: str) -> None:
    """Load a file that `stage=pretrain` wrote into the same backbone; all tensors must fit.

    Args:
        backbone: any backbone, of this project or your own.
        path: the file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file has another format or another backbone; the message lists the tensors that do not fit.
    """
    card = backbone_card(path)
    if card is None:
        raise ValueError(f"{path} was not written by stage=pretrain; its format is not '{FORMAT}'")
    state = load_file(path)
    if listed := misfits(saved_tensors(backbone), state):
        raise ValueError(
            f"{path} holds the backbone {card.get('backbone')}, which does not fit this one ({listed}); choose its "
            "backbone or another backbone.weights"
        )
    backbone.load_state_dict(state, strict=False)  # strict but for the counters, which are not saved


def saved_tensors(backbone: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a backbone's file: its state without BatchNorm's counters, which training does not read."""
    return {key: value for key, value in backbone.state_dict().items() if not key.endswith("num_batches_tracked")}
