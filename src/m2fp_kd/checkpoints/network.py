"""Save and load networks of this project: weights as safetensors, and a JSON network file that rebuilds the module.

No pickle is written or read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.utils import instantiate
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from m2fp_kd.labels import LabelSet
from m2fp_kd.models.misfits import misfits
from m2fp_kd.runtime.files import atomic_path, file_sha256
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import Lineage

FORMAT = "m2fp-kd network, version 3"
OLD_FORMAT = "m2fp-kd network, version 2"
"""Its key ``recipe`` is now ``architecture``; `Lineage.from_dict` reads its lineage."""

SHRINKERS = ("m2fp_kd.models.fold.build_folded", "m2fp_kd.models.pruned.build_pruned")
"""Builders that change another network, which their architecture holds as ``network``."""

BUILDERS = (
    "m2fp_kd.models.backbones.build_backbone",
    "m2fp_kd.models.fpn.FPNStudent",
    "m2fp_kd.models.m2fp.build_m2fp",
    "m2fp_kd.models.m2fp_student.M2FPStudent",
    *SHRINKERS,
)


BROKEN = (KeyError, TypeError, AttributeError, ValueError, RecursionError, SafetensorError, HydraException)
"""Errors that a broken network file causes."""


class CheckpointError(ValueError):
    """Raised for a checkpoint that does not fit; the message lists what is wrong and how to fix it."""


@dataclass
class Network:
    """A network with what is needed to use it.

    Attributes:
        module: rebuilt network.
        labels: label set that it was trained on.
        geometry: how photos are fitted into its input.
        architecture: configuration node (``_target_`` and plain arguments) that built it.
        lineage: where it comes from.
        sha256: hash of the weight file.
    """

    module: nn.Module
    labels: LabelSet
    geometry: Geometry
    architecture: dict[str, Any]
    lineage: Lineage
    sha256: str


def save_network(
    path: str | Path,
    module: nn.Module,
    labels: LabelSet,
    geometry: Geometry,
    architecture: Mapping[str, Any],
    lineage: Lineage,
) -> Path:
    """Write ``path``.safetensors, then ``path``.json, which holds its hash; return the path of the JSON file.

    An older JSON file is removed before its weights are replaced, and the new one is written last: if it exists, the
    weights are complete and its own.
    """
    weights, file = Path(path).with_suffix(".safetensors"), Path(path).with_suffix(".json")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    with atomic_path(weights) as temporary:
        temporary.write_bytes(save(state))  # `save_file` makes files that only their owner may read
        file.unlink(missing_ok=True)
    content = {
        "format": FORMAT,
        "architecture": without_downloads(architecture),
        "label_set": labels.to_dict(),
        "geometry": asdict(geometry),
        "lineage": lineage.to_dict(),
        "weights": {"file": weights.name, "sha256": file_sha256(weights)},
    }
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(content, indent=1))
    return file


def load_network(path: str | Path) -> Network:
    """Rebuild a network from its JSON file (or from the safetensors file beside it).

    Raises:
        FileNotFoundError: one of the two files is missing.
        CheckpointError: the file is not a network file or is broken, the weights were changed, or the tensors do not
            fit the architecture.
    """
    file = Path(path).with_suffix(".json")
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: a network is a .safetensors file and the .json file beside it")
    try:
        return _rebuilt(_content(file), file)
    except CheckpointError:
        raise
    except BROKEN as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(f"{file}: not valid ({cause}); restore the file") from error


def _content(file: Path) -> dict[str, Any]:
    """Return the content of a network file in the present layout; raise CheckpointError if it has another."""
    content = json.loads(file.read_bytes())
    found = content.get("format") if isinstance(content, dict) else None
    if found == OLD_FORMAT:
        content["architecture"] = content.pop("recipe")
    elif found != FORMAT:
        raise CheckpointError(f"{file} is not a network file of this version (format {found!r})")
    if missing := sorted({"architecture", "label_set", "geometry", "lineage", "weights"} - content.keys()):
        raise CheckpointError(f"{file} lacks {', '.join(missing)}; restore the file")
    return content


def _rebuilt(content: dict[str, Any], file: Path) -> Network:
    """Build the network that a network file describes, and load its weights; errors of many kinds if it is broken."""
    weights = file.parent / content["weights"]["file"]
    if not weights.is_file():
        raise FileNotFoundError(f"{weights} is missing; {file.name} names it as the weight file")
    if (found := file_sha256(weights)) != content["weights"]["sha256"]:
        raise CheckpointError(
            f"{weights} is not the file that {file.name} describes (sha256 {found}); restore the pair"
        )
    _refuse_foreign_targets(content["architecture"], file)
    module = instantiate(content["architecture"])
    state = load_file(weights)
    check_tensors(module.state_dict(), state, weights)
    module.load_state_dict(state)
    return Network(
        module=module.eval(),
        labels=LabelSet.from_dict(content["label_set"]),
        geometry=Geometry(**content["geometry"]),
        architecture=content["architecture"],
        lineage=Lineage.from_dict(content["lineage"]),
        sha256=content["weights"]["sha256"],
    )


def check_tensors(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], source: str | Path) -> None:
    """Check that `found` has exactly the names and shapes of `wanted`.

    Raises:
        CheckpointError: a tensor is missing, surplus or misshapen; the message lists them.
    """
    if listed := misfits(wanted, found):
        raise CheckpointError(f"{source} does not fit this network: {listed}")


def without_downloads(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return an architecture without the backbone's starting weights, which the saved weights replace."""
    clean: dict[str, Any] = {}
    for key, value in architecture.items():
        if isinstance(value, Mapping):
            clean[key] = without_downloads(value)
        elif key not in ("pretrained", "weights"):
            clean[key] = value
    return clean


def original_architecture(architecture: dict[str, Any]) -> dict[str, Any]:
    """Return the architecture that a network had before pruning and quantisation-aware training."""
    return original_architecture(architecture["network"]) if architecture["_target_"] in SHRINKERS else architecture


def _refuse_foreign_targets(architecture: Any, file: Path) -> None:
    """Raise CheckpointError if an architecture calls anything but the builders of this project's networks."""
    if isinstance(architecture, Mapping):
        target = architecture.get("_target_")
        if target is not None and target not in BUILDERS:
            raise CheckpointError(f"{file} calls {target}; an architecture may only call {', '.join(BUILDERS)}")
        architecture = list(architecture.values())
    if isinstance(architecture, list):
        for value in architecture:
            _refuse_foreign_targets(value, file)
