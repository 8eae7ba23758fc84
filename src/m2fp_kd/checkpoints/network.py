"""Our own networks on disk: weights as safetensors beside a JSON recipe that rebuilds the module. No pickle."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from safetensors.torch import load_file, save_file
from torch import nn

from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.files import atomic_path, file_sha256
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import Lineage

FORMAT = "m2fp-kd network, version 3"
OLD_FORMAT = "m2fp-kd network, version 2"
"""Its ``recipe`` is now the ``architecture``; `Lineage.from_dict` reads its lineage."""

SHRINKERS = ("m2fp_kd.models.fold.build_folded", "m2fp_kd.models.pruned.build_pruned")
"""Builders that make a network of another, which their recipe holds as ``network``."""

BUILDERS = (
    "m2fp_kd.models.backbones.build_backbone",
    "m2fp_kd.models.fpn.FPNStudent",
    "m2fp_kd.models.m2fp.build_m2fp",
    "m2fp_kd.models.m2fp_student.M2FPStudent",
    *SHRINKERS,
)


class CheckpointError(ValueError):
    """A checkpoint that does not fit; the message lists what is wrong and what to do."""


@dataclass
class Network:
    """A network with what is needed to use it.

    Attributes:
        module: the rebuilt network.
        labels: label set that it was trained on.
        geometry: how photos are fitted into its input.
        recipe: the configuration node (``_target_`` and plain arguments) that built it.
        lineage: where it comes from.
        sha256: of the weight file.
    """

    module: nn.Module
    labels: LabelSet
    geometry: Geometry
    recipe: dict[str, Any]
    lineage: Lineage
    sha256: str


def save_network(
    path: str | Path,
    module: nn.Module,
    labels: LabelSet,
    geometry: Geometry,
    recipe: Mapping[str, Any],
    lineage: Lineage,
) -> Path:
    """Write ``path``.safetensors, then ``path``.json, which names it by hash; return the JSON's path.

    The JSON comes last: where it is there, the weights are whole.
    """
    weights, card = Path(path).with_suffix(".safetensors"), Path(path).with_suffix(".json")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    with atomic_path(weights) as temporary:
        save_file(state, temporary)
    content = {
        "format": FORMAT,
        "architecture": without_downloads(recipe),
        "label_set": labels.to_dict(),
        "geometry": asdict(geometry),
        "lineage": lineage.to_dict(),
        "weights": {"file": weights.name, "sha256": file_sha256(weights)},
    }
    with atomic_path(card) as temporary:
        temporary.write_text(json.dumps(content, indent=1))
    return card


def load_network(path: str | Path) -> Network:
    """Rebuild a network from its JSON (or the safetensors beside it).

    Raises:
        FileNotFoundError: either file is missing.
        CheckpointError: not one of our files, changed weights, or tensors that do not fit the recipe.
    """
    card = Path(path).with_suffix(".json")
    if not card.is_file():
        raise FileNotFoundError(f"{card} is missing: a network is a .safetensors file and the .json recipe beside it")
    try:
        content = json.loads(card.read_text())
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{card} is not valid JSON ({error}); restore the file") from error
    if content.get("format") == OLD_FORMAT:
        content["architecture"] = content.pop("recipe")
    elif content.get("format") != FORMAT:
        raise CheckpointError(f"{card} is not a network file of this version (format {content.get('format')!r})")
    weights = card.parent / content["weights"]["file"]
    if not weights.is_file():
        raise FileNotFoundError(f"{weights}, the weights that {card.name} names, are missing")
    if (found := file_sha256(weights)) != content["weights"]["sha256"]:
        raise CheckpointError(
            f"{weights} is not the file that {card.name} describes (sha256 {found}); restore the pair"
        )
    _refuse_foreign_targets(content["architecture"], card)
    module = instantiate(content["architecture"])
    load_strictly(module, load_file(weights), weights)
    return Network(
        module=module.eval(),
        labels=LabelSet.from_dict(content["label_set"]),
        geometry=Geometry(**content["geometry"]),
        recipe=content["architecture"],
        lineage=_lineage(content["lineage"], card),
        sha256=content["weights"]["sha256"],
    )


def _lineage(values: Mapping[str, Any], card: Path) -> Lineage:
    try:
        return Lineage.from_dict(values)
    except ValueError as error:
        raise CheckpointError(f"{card}: {error}") from error


def load_strictly(module: nn.Module, state: Mapping[str, Any], source: str | Path) -> None:
    """Load a state dict of which every tensor must fit.

    Raises:
        CheckpointError: listing missing, surplus and misshapen tensors.
    """
    check_tensors(module.state_dict(), state, source)
    module.load_state_dict(state)


def check_tensors(wanted: Mapping[str, Any], found: Mapping[str, Any], source: str | Path) -> None:
    """Check that `found` has the names and shapes of `wanted`, no more and no less.

    Raises:
        CheckpointError: listing missing, surplus and misshapen tensors.
    """
    problems = {
        "missing": sorted(wanted.keys() - found.keys()),
        "surplus": sorted(found.keys() - wanted.keys()),
        "misshapen": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
            for name in sorted(wanted.keys() & found.keys())
            if found[name].shape != wanted[name].shape
        ],
    }
    lines = [
        f"{len(names)} {kind}: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        for kind, names in problems.items()
        if names
    ]
    if lines:
        raise CheckpointError(f"{source} does not fit this network: " + "; ".join(lines))


def without_downloads(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without the backbone's starting weights: the saved weights replace them."""
    clean: dict[str, Any] = {}
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            clean[key] = without_downloads(value)
        elif key not in ("pretrained", "weights"):
            clean[key] = value
    return clean


def original_recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a network as it was before pruning and quantisation-aware training."""
    return original_recipe(recipe["network"]) if recipe["_target_"] in SHRINKERS else recipe


def _refuse_foreign_targets(recipe: Any, card: Path) -> None:
    """A recipe is data: it may build this project's networks and nothing else."""
    if isinstance(recipe, Mapping):
        target = recipe.get("_target_")
        if target is not None and target not in BUILDERS:
            raise CheckpointError(f"{card} wants to call {target}; a recipe may only call {', '.join(BUILDERS)}")
        recipe = list(recipe.values())
    if isinstance(recipe, list):
        for value in recipe:
            _refuse_foreign_targets(value, card)
