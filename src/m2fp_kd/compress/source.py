"""The source that artefacts are made from."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from m2fp_kd.compress.parity import MixedPhoto
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.checks import LABELS, Hop
from m2fp_kd.runtime.files import file_sha256


@dataclass(frozen=True)
class Source:
    """A network with its card and photos.

    Attributes:
        student: trained float network in eval mode, on the CPU.
        card: card of its fp32 artefact.
        canvases: yields a number of training photos, placed as in validation, uint8 (1, h, w, 3) each.
        photos: validation photos.
        fp32: ONNX export of the network; None before it was exported.
        parity: hops that led to this network.
        truth: where the photos' labels come from.
    """

    student: nn.Module
    card: Card
    canvases: Callable[[int], Iterator[NDArray[np.uint8]]]
    photos: Iterable[MixedPhoto]
    fp32: Path | None = None
    parity: tuple[Hop, ...] = ()
    truth: str = LABELS

    @property
    def exported(self) -> Path:
        """The ONNX export, for the steps that `check_order` puts after it."""
        assert self.fp32 is not None
        return self.fp32

    def int8_card(self, *packages: str) -> Card:
        """Return the card of an INT8 artefact that these packages make from the export."""
        return replace(
            self.card,
            precision="int8",
            parents=self.card.parents | {"fp32": file_sha256(self.exported)},
            versions=self.card.versions | {package: version(package) for package in packages},
        )
