"""Compare the tensors of a file with those of a network."""

from collections.abc import Collection, Mapping

from torch import Tensor

SHOWN = 5
"""Most names of a kind that are listed."""


def misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], allowed: Collection[str] = ()) -> str:
    """List the tensors of a file that do not fit a network, in their order; return an empty text if all do.

    Args:
        wanted: tensors of the network by name; their shapes are compared.
        found: tensors of the file by name.
        allowed: names that the file may hold besides.

    Returns:
        Such as "1 missing: head.bias; 1 misshapen: head.weight (5, 2) instead of (7, 2)".
    """
    problems = {
        "missing": [name for name in wanted if name not in found],
        "surplus": [name for name in found if name not in wanted and name not in allowed],
        "misshapen": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in found and found[name].shape != tensor.shape
        ],
    }
    return "; ".join(
        f"{len(names)} {kind}: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"
        for kind, names in problems.items()
        if names
    )
