"""The steps of compression that train: channel pruning and quantisation-aware training."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Callback
from torch import nn


class FineTuning(Protocol):
    """What a run gives its training steps: see `m2fp_kd.pipeline.fine_tune.FineTuner`."""

    size: int

    def __call__(
        self, student: nn.Module, name: str, epochs: int, lr_scale: float, callbacks: Sequence[Callback] = ()
    ) -> float: ...

    def gradients(self, student: nn.Module, batches: int) -> None: ...

    def canvases(self, count: int) -> Iterator[NDArray[np.uint8]]: ...


class TrainingStep(Protocol):
    """A step that changes a network and trains it on; `name` is the file that it is saved as."""

    kind: ClassVar[str]

    @property
    def name(self) -> str: ...

    def __call__(
        self, student: nn.Module, recipe: dict[str, Any], tuner: FineTuning
    ) -> tuple[nn.Module, dict[str, Any]]: ...
