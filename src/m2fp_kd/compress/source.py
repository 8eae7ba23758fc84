"""What artefacts are made from."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from m2fp_kd.evaluation.metrics.predictions import LabelledPhoto
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.checks import Hop
from m2fp_kd.runtime.files import file_sha256


@dataclass(frozen=True)
class Source:
    """What artefacts are made from.

    Attributes:
        student: trained float network in eval mode, on the CPU.
        card: of its fp32 artefact.
        canvases: gives so many training photos as validation places them, uint8 (1, h, w, 3) each.
        photos: validation photos.
        fp32: its ONNX export; None before there is one.
        parity: hops that led to this network.
    """

    student: nn.Module
    card: Card
    canvases: Callable[[int], Iterator[NDArray[np.uint8]]]
    photos: Iterable[LabelledPhoto]
    fp32: Path | None = None
    parity: tuple[Hop, ...] = ()

    def int8_card(self, *packages: str) -> Card:
        """The card of an INT8 artefact made from the export by these packages."""
        assert self.fp32 is not None, "check_order lets nothing be quantised before it is exported"
        return replace(
            self.card,
            precision="int8",
            parents=self.card.parents | {"fp32": file_sha256(self.fp32)},
            versions=self.card.versions | {package: version(package) for package in packages},
        )
