"""Protocols of the compression steps in ``conf/compress/step/``, and checks of their order.

Training steps (prune, qat) change a network and fine-tune it; artefact steps (export, quantise, convert) write a file
from a network or from its export.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, Unsupported, require
from m2fp_kd.compress.source import Source
from m2fp_kd.labels import LabelSet
from m2fp_kd.shipped import litert_converter
from m2fp_kd.versions import install_hint

if TYPE_CHECKING:
    from pytorch_lightning import Callback

ORDER = {
    "prune": "channels are removed while the network is still float and can be fine-tuned",
    "qat": "quantisation-aware training needs the final channels",
    "export": "an exported graph can be neither pruned nor trained",
    "quantise": "INT8 is made from the exported file",
    "convert": "a conversion needs the finished file",
}
"""Kinds of steps in their order -> reason for the place of each."""

CONVERTERS = {
    "executorch": ("executorch", "executorch"),
    "litert": ("litert_torch", "litert,teachers"),
    "ncnn": ("pnnx", "ncnn"),
    "coreml": ("coremltools", "coreml"),
}
"""Format -> the module that converts to it, and the extras that install it; other formats need `compress` only."""

OTHER_GATES = ("convert_int8", "precision")
"""Gates beside those of the kinds: of a converted INT8 graph, and of a file in the precision of the engine's choice."""


class OrderError(ValueError):
    """Raised for steps in an impossible order; the message gives the right one."""


class Step(Protocol):
    """A step with a place in the order."""

    @property
    def kind(self) -> str: ...


class FineTuning(Protocol):
    """Fine-tuning for training steps, see `m2fp_kd.pipeline.assemble.fine_tune.FineTuner`."""

    size: int

    def __call__(
        self, student: nn.Module, name: str, epochs: int, lr_scale: float, callbacks: "Sequence[Callback]" = ()
    ) -> float: ...

    def gradients(self, student: nn.Module, batches: int) -> None: ...

    def canvases(self, count: int) -> Iterator[NDArray[np.uint8]]: ...


class TrainingStep(Protocol):
    """A step that changes a network and fine-tunes it; `name` is the name of the saved file.

    It returns the network, the architecture that rebuilds it, and its validation mIoU (0..1).
    """

    kind: ClassVar[str]

    @property
    def name(self) -> str: ...

    def __call__(
        self, student: nn.Module, architecture: dict[str, Any], tuner: FineTuning
    ) -> tuple[nn.Module, dict[str, Any], float]: ...


class ArtefactStep(Step, Protocol):
    """A step that writes a file into a folder and returns its path.

    `name` is the artefact's name, `format` one of `export.capabilities.ARTEFACT_FORMATS`, and `networks` lists
    the supported kinds of networks. `made_from` names the artefact that it is made from and checked against; None means
    the fp32 ONNX export, or the network itself before the export. A step with `runs = False` writes a file that no
    engine here runs, so that it cannot be checked.
    """

    @property
    def format(self) -> str: ...

    @property
    def networks(self) -> Sequence[str]: ...

    @property
    def name(self) -> str: ...

    @property
    def made_from(self) -> str | None: ...

    def __call__(self, source: Source, folder: Path) -> Path: ...


def gate_name(step: Step, steps: Iterable[Step]) -> str:
    """Return the name of a step's gate: its own or its kind, or "convert_int8" for a conversion of an INT8 artefact.

    An INT8 graph rounds activations, so another engine's order of summation moves more pixels than in fp32.
    """
    if step.kind != "convert":
        return getattr(step, "gate", step.kind)
    origins = [other.kind for other in steps if getattr(other, "name", "") == getattr(step, "made_from", None)]
    return "convert_int8" if "quantise" in origins else "convert"


def check_order(steps: Mapping[str, Step], gates: Collection[str]) -> None:
    """Check that steps follow `ORDER`, that one of them exports, and that every hop has a gate.

    Raises:
        OrderError: they do not; the message names the misplaced steps, the reason and the right order.
    """
    kinds = list(ORDER)
    ranks = {name: kinds.index(step.kind) for name, step in steps.items()}
    for before, after in pairwise(ranks):
        if ranks[after] < ranks[before]:
            right = ",".join(sorted(ranks, key=lambda name: ranks[name]))
            raise OrderError(
                f"{after} cannot come after {before}: {ORDER[steps[after].kind]}; the order is "
                f"{' -> '.join(kinds)}, here 'compress/step@compress.steps=[{right}]'"
            )
    if not any(step.kind == "export" for step in steps.values()):
        raise OrderError(
            f"the steps [{', '.join(steps)}] export nothing: add `export` after prune and qat and before INT8"
        )
    if unknown := sorted(set(gates) - {*ORDER, *OTHER_GATES}):
        raise OrderError(
            f"compress.gates.{unknown[0]} is no gate: choose among {', '.join(ORDER)}, {', '.join(OTHER_GATES)}"
        )
    if ungated := sorted({gate_name(step, steps.values()) for step in steps.values()} - set(gates)):
        raise OrderError(
            f"no gate for {', '.join(ungated)}, but every step must be checked; set compress.gates.{ungated[0]}"
        )
    taken: set[str] = set()
    exports = _onnx_exports(steps)
    for key, step in steps.items():
        name = getattr(step, "name", key)
        if step.kind in ("quantise", "convert") and not taken & exports:
            raise OrderError(f"{key} is made from the fp32 ONNX file: add `export` before it")
        if name in taken:
            raise OrderError(f"two steps have the name '{name}': rename one with compress.steps.{key}.name=NAME")
        if (origin := getattr(step, "made_from", None)) and origin not in taken:
            raise OrderError(f"{key} converts '{origin}', but no step before it makes that; add such a step")
        if origin and any(
            getattr(other, "name", "") == origin and _format(other) != "onnx" for other in steps.values()
        ):
            raise OrderError(f"{key} converts ONNX files, and '{origin}' is another format; convert an ONNX artefact")
        taken.add(name)


def check_possible(steps: Iterable[ArtefactStep], network: str, fixed: bool, labels: LabelSet) -> None:
    """Check that all steps support a network and its label set, before any of them runs.

    Args:
        steps: steps that write files.
        network: one of `NETWORKS`.
        fixed: whether its canvas has a fixed size.
        labels: its label set.

    Raises:
        Unsupported: a step does not; the message gives the reason and an alternative.
        ValueError: a step names a part that the label set does not have.
    """
    for step in steps:
        if unknown := sorted(set(getattr(step, "parts", None) or ()) - set(labels.parts)):
            raise ValueError(
                f"parts of the step {step.name}: '{labels.name}' has no {', '.join(unknown)}; "
                f"choose among {', '.join(labels.parts)}"
            )
        if network not in step.networks:
            kinds = " or ".join(step.networks)
            raise Unsupported(f"{step.name} is for {kinds} networks, and this one is {network}; use int8_static")
        if step.format in CONVERTERS:
            module, extra = CONVERTERS[step.format]
            if find_spec(module) is None:
                way = install_hint(extra)
                if step.format == "litert":
                    way += f", then pip install --no-deps -r {litert_converter()}"
                raise Unsupported(f"{step.name} needs {module}, which is not installed: {way}")
        if step.networks is NETWORKS:
            require(Cell(step.format, "int8" if step.kind == "quantise" else "fp32", network, fixed))


def _onnx_exports(steps: Mapping[str, Step]) -> set[str]:
    exports = ((key, step) for key, step in steps.items() if step.kind == "export" and _format(step) == "onnx")
    return {getattr(step, "name", key) for key, step in exports}


def _format(step: Step) -> str | None:
    return getattr(step, "format", None)
