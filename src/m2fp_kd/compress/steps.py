"""The steps that shrink a student, as ``conf/compress/step/`` lists them, and the only order that they may be taken in.

Training steps (prune, qat) turn a network into another network and are followed by fine-tuning; artefact steps (export,
quantise, convert) turn a network, or its export, into a file.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, Unsupported, require
from m2fp_kd.compress.source import Source

if TYPE_CHECKING:
    from pytorch_lightning import Callback

ORDER = {
    "prune": "channels are removed while the network is still float and can be fine-tuned",
    "qat": "what INT8 will do is trained against once the channels are final",
    "export": "an exported graph is neither pruned nor trained any more",
    "quantise": "INT8 is made from what was exported",
    "convert": "another format of a finished file is made when that file is there",
}
"""Kinds of steps in their order, and why each stands where it does."""


class OrderError(ValueError):
    """Steps in an order that cannot work; the message gives the right one."""


class Step(Protocol):
    """Anything with a place in the order."""

    @property
    def kind(self) -> str: ...


class FineTuning(Protocol):
    """What a run gives its training steps: see `m2fp_kd.pipeline.assemble.fine_tune.FineTuner`."""

    size: int

    def __call__(
        self, student: nn.Module, name: str, epochs: int, lr_scale: float, callbacks: "Sequence[Callback]" = ()
    ) -> float: ...

    def gradients(self, student: nn.Module, batches: int) -> None: ...

    def canvases(self, count: int) -> Iterator[NDArray[np.uint8]]: ...


class TrainingStep(Protocol):
    """A step that changes a network and trains it on; `name` is the file that it is saved as.

    It returns the network, the architecture that rebuilds it, and its validation mIoU (0..1).
    """

    kind: ClassVar[str]

    @property
    def name(self) -> str: ...

    def __call__(
        self, student: nn.Module, architecture: dict[str, Any], tuner: FineTuning
    ) -> tuple[nn.Module, dict[str, Any], float]: ...


class ArtefactStep(Step, Protocol):
    """A step that writes a file into a folder and returns it.

    `name` is the artefact's, `format` what it is (see `export.capabilities.FORMATS`), `networks` the kinds that it can
    be made of. `of` names the artefact that it is made from and checked against; None for the fp32 ONNX export, and for
    the network itself before there is one.
    """

    @property
    def format(self) -> str: ...

    @property
    def networks(self) -> Sequence[str]: ...

    @property
    def name(self) -> str: ...

    @property
    def of(self) -> str | None: ...

    def __call__(self, source: Source, folder: Path) -> Path: ...


def check_order(steps: Mapping[str, Step], gates: Collection[str]) -> None:
    """Check that steps are in the order of `ORDER`, that something is exported and that every hop has its gate.

    Raises:
        OrderError: naming the steps that stand wrongly, why, and the right order.
    """
    names, kinds = list(steps), list(ORDER)
    ranks = [kinds.index(step.kind) for step in steps.values()]
    right = ",".join(sorted(names, key=lambda name: ranks[names.index(name)]))
    for before, after in zip(range(len(names)), range(1, len(names)), strict=False):
        if ranks[after] < ranks[before]:
            raise OrderError(
                f"{names[after]} cannot come after {names[before]}: {ORDER[kinds[ranks[after]]]}; the order is "
                f"{' -> '.join(kinds)}, here 'compress/step@compress.steps=[{right}]'"
            )
    if kinds.index("export") not in ranks:
        raise OrderError(
            f"nothing is exported by the steps [{', '.join(names)}]: add `export` after prune and qat and before INT8"
        )
    if ungated := sorted({step.kind for step in steps.values()} - set(gates)):
        raise OrderError(
            f"no gate for {', '.join(ungated)}: nothing unverified is shipped; set compress.gates.{ungated[0]}"
        )
    taken: set[str] = set()
    exports = _onnx_exports(steps)
    for key, step in steps.items():
        name = getattr(step, "name", key)
        if step.kind in ("quantise", "convert") and not taken & exports:
            raise OrderError(f"{key} is made from the fp32 ONNX file: add `export` before it")
        if name in taken:
            raise OrderError(f"two steps are named '{name}': give one another name with compress.steps.{key}.name=NAME")
        if (of := getattr(step, "of", None)) and of not in taken:
            raise OrderError(f"{key} converts '{of}', which no step before it makes; add that step")
        if of and any(getattr(other, "name", "") == of and _format(other) != "onnx" for other in steps.values()):
            raise OrderError(f"{key} converts ONNX files, and '{of}' is none")
        taken.add(name)


def check_possible(steps: Iterable[ArtefactStep], network: str, fixed: bool) -> None:
    """Check that a kind of network can take all steps, before any time is spent on it.

    Args:
        steps: those that write files.
        network: one of `NETWORKS`.
        fixed: whether its canvas has a fixed size.

    Raises:
        Unsupported: with the reason, and what works instead.
    """
    for step in steps:
        if network not in step.networks:
            kinds = " or ".join(step.networks)
            raise Unsupported(f"{step.name} is for {kinds} networks, and this one is {network}; use int8_static")
        if step.networks is NETWORKS:
            require(Cell(step.format, "int8" if step.kind == "quantise" else "fp32", network, fixed))


def _onnx_exports(steps: Mapping[str, Step]) -> set[str]:
    exports = ((key, step) for key, step in steps.items() if step.kind == "export" and _format(step) == "onnx")
    return {getattr(step, "name", key) for key, step in exports}


def _format(step: Step) -> str | None:
    return getattr(step, "format", None)
