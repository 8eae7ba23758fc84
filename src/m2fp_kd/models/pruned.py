"""Rebuild pruned networks from the network before pruning and the sizes after it."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.utils import instantiate
from torch import Tensor, nn

from m2fp_kd.models.backbones import Backbone

BUILDER = "m2fp_kd.models.pruned.build_pruned"

Sizes = Mapping[str, int | Sequence[int]]
"""Name of a module's size attribute -> its value."""

SIZES: dict[type[nn.Module], tuple[str, ...]] = {
    Backbone: ("channels",),
    nn.Conv2d: ("out_channels", "in_channels", "groups"),
    nn.Linear: ("out_features", "in_features"),
    nn.BatchNorm2d: ("num_features",),
}
"""Kinds of modules and the size attributes that pruning changes."""


def build_pruned(network: nn.Module, widths: Mapping[str, Sizes]) -> nn.Module:
    """Narrow a network in place to the sizes of its pruned version.

    Every layer keeps the first channels of its weights, whichever channels pruning kept, because the pruned network's
    weights are loaded afterwards.

    Args:
        network: network before pruning.
        widths: name of a module -> its sizes, for modules that differ, as `pruned_architecture` returns them.

    Raises:
        ValueError: `widths` names a module or a size that the network does not have, or a size would grow.
    """
    modules = dict(network.named_modules())
    for name, sizes in widths.items():
        known = sizes_of(modules[name]) if name in modules else None
        if known is None or known.keys() != sizes.keys():
            raise ValueError(f"the network to prune has no module {name!r} with the sizes {', '.join(sizes)}")
        _narrow(name, modules[name], known, sizes)
    return network


def pruned_architecture(architecture: Mapping[str, Any], pruned: nn.Module) -> dict[str, Any]:
    """Return the architecture that rebuilds a pruned network.

    Args:
        architecture: architecture of the network before pruning, from `load_network`; that network may have been
            pruned before. The widths are always relative to the network that was never pruned.
        pruned: network after pruning.

    Raises:
        ValueError: the architecture builds another network than the one that was pruned.
    """
    original = architecture["network"] if architecture["_target_"] == BUILDER else architecture
    before, after = _all_sizes(instantiate(original)), _all_sizes(pruned)
    if before.keys() != after.keys():
        raise ValueError(
            f"the architecture of {original['_target_']} does not build the network that was pruned: only one of them "
            f"has {', '.join(sorted(before.keys() ^ after.keys())[:5])}"
        )
    widths = {name: sizes for name, sizes in after.items() if sizes != before[name]}
    return {"_target_": BUILDER, "network": original, "widths": widths}


def sizes_of(module: nn.Module) -> dict[str, Any] | None:
    """Return a module's sizes as JSON types; None if pruning changes none of them."""
    for kind, names in SIZES.items():
        if isinstance(module, kind):
            values = {name: getattr(module, name) for name in names}
            return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return None


def _all_sizes(network: nn.Module) -> dict[str, dict[str, Any]]:
    sizes = {name: sizes_of(module) for name, module in network.named_modules()}
    return {name: size for name, size in sizes.items() if size is not None}


def _narrow(name: str, module: nn.Module, known: Sizes, sizes: Sizes) -> None:
    for size, value in sizes.items():
        new_sizes, old_sizes = (tuple(v) if isinstance(v, Sequence) else (v,) for v in (value, known[size]))
        same_rank = len(new_sizes) == len(old_sizes)
        if not same_rank or not all(0 < new <= old for new, old in zip(new_sizes, old_sizes, strict=True)):
            raise ValueError(f"{name}.{size} is {known[size]} before pruning and cannot become {value}")
        setattr(module, size, value if isinstance(value, int) else new_sizes)
    if isinstance(module, Backbone):
        return
    extents = _extents(module)
    for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        tensor.data = _corner(tensor.data, extents)


def _extents(module: nn.Module) -> tuple[int, ...]:
    """Return the sizes of a weight's first axes."""
    if isinstance(module, nn.Conv2d):
        return module.out_channels, module.in_channels // module.groups
    if isinstance(module, nn.Linear):
        return module.out_features, module.in_features
    assert isinstance(module, nn.BatchNorm2d)
    return (module.num_features,)


def _corner(tensor: Tensor, extents: tuple[int, ...]) -> Tensor:
    """Return the first entries along each axis, in the memory format of the whole tensor."""
    return tensor[tuple(slice(extent) for extent in extents[: tensor.dim()])].clone()
