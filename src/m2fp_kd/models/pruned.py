"""Pruned networks: the network as it was before pruning, and the sizes that pruning left it with."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.utils import instantiate
from torch import Tensor, nn

from m2fp_kd.models.backbones import Backbone

BUILDER = "m2fp_kd.models.pruned.build_pruned"

Sizes = Mapping[str, int | Sequence[int]]
"""Names of a module's size attributes -> their values."""

SIZES: dict[type[nn.Module], tuple[str, ...]] = {
    Backbone: ("channels",),
    nn.Conv2d: ("out_channels", "in_channels", "groups"),
    nn.Linear: ("out_features", "in_features"),
    nn.BatchNorm2d: ("num_features",),
}
"""What has a size that pruning changes."""


def build_pruned(network: nn.Module, widths: Mapping[str, Sizes]) -> nn.Module:
    """Narrow a network, in place, to the sizes of its pruned self.

    Which channels were kept is no matter: the pruned network's weights are loaded afterwards. Until then every layer
    holds the first channels of its weights.

    Args:
        network: as it was before pruning.
        widths: what differs, name of a module -> its sizes, as `pruned_recipe` writes them.

    Raises:
        ValueError: `widths` names a module or a size that the network does not have, or one that would grow.
    """
    modules = dict(network.named_modules())
    for name, sizes in widths.items():
        known = sizes_of(modules[name]) if name in modules else None
        if known is None or known.keys() != sizes.keys():
            raise ValueError(f"the network to prune has no module {name!r} with the sizes {', '.join(sizes)}")
        _narrow(name, modules[name], known, sizes)
    return network


def pruned_recipe(recipe: Mapping[str, Any], pruned: nn.Module) -> dict[str, Any]:
    """The recipe that rebuilds a pruned network.

    Args:
        recipe: of the network before pruning, as `load_network` gives it; it may be a pruned network's. The widths are
            always relative to the network that was never pruned.
        pruned: the network now.

    Raises:
        ValueError: the recipe builds another network than the one that was pruned.
    """
    original = recipe["network"] if recipe["_target_"] == BUILDER else recipe
    before, after = _all_sizes(instantiate(original)), _all_sizes(pruned)
    if before.keys() != after.keys():
        raise ValueError(
            f"the recipe of {original['_target_']} does not build the network that was pruned: only one of them has "
            f"{', '.join(sorted(before.keys() ^ after.keys())[:5])}"
        )
    widths = {name: sizes for name, sizes in after.items() if sizes != before[name]}
    return {"_target_": BUILDER, "network": original, "widths": widths}


def sizes_of(module: nn.Module) -> dict[str, Any] | None:
    """A module's sizes as JSON can hold them; None if it has none that pruning changes."""
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
        wanted, most = (tuple(v) if isinstance(v, Sequence) else (v,) for v in (value, known[size]))
        if len(wanted) != len(most) or not all(0 < new <= old for new, old in zip(wanted, most, strict=True)):
            raise ValueError(f"{name}.{size} is {known[size]} before pruning and cannot become {value}")
        setattr(module, size, value if isinstance(value, int) else wanted)
    if isinstance(module, Backbone):
        return
    extents = _extents(module)
    for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        tensor.data = _corner(tensor.data, extents)


def _extents(module: nn.Module) -> tuple[int, ...]:
    """The first axes of a weight."""
    if isinstance(module, nn.Conv2d):
        return module.out_channels, module.in_channels // module.groups
    if isinstance(module, nn.Linear):
        return module.out_features, module.in_features
    assert isinstance(module, nn.BatchNorm2d)
    return (module.num_features,)


def _corner(tensor: Tensor, extents: tuple[int, ...]) -> Tensor:
    """The first entries along each axis, laid out in memory as the whole was."""
    return tensor[tuple(slice(extent) for extent in extents[: tensor.dim()])].clone()
