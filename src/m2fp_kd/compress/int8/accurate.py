"""The step that quantises under accuracy control."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from m2fp_kd.compress.export.capabilities import NETWORKS
from m2fp_kd.compress.int8.accuracy import Bounds, quantise_with_accuracy_control
from m2fp_kd.compress.options import STRICT, Count, Name, Parts, Points
from m2fp_kd.compress.source import Source

log = logging.getLogger(__name__)


@dataclass(frozen=True, config=STRICT)
class AccurateInt8:
    """Quantise the export to static INT8, with the most harmful layers left in fp32 until the bounds hold.

    Attributes:
        name: name of the artefact.
        max_miou_drop: points of mIoU that INT8 may lose.
        max_part_drop: points of IoU that each of `parts` may lose; null for no limit.
        parts: names of parts; null for all.
        calibration_photos: number of training photos to calibrate on.
        max_evaluations: largest number of networks to evaluate in the search.
        threads: CPU threads of the engine that evaluates them.
    """

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "onnx"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "int8"
    max_miou_drop: Points = 0.1
    max_part_drop: Points | None = 1.0
    parts: Parts | None = None
    calibration_photos: Count = 300
    max_evaluations: Count = 250
    threads: Count | None = None

    @model_validator(mode="after")
    def _parts_have_a_bound(self) -> Self:
        if self.parts is not None and self.max_part_drop is None:
            raise ValueError("parts are bounded by max_part_drop, which is null: set it, or leave parts=null")
        return self

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.onnx"
        control = quantise_with_accuracy_control(
            source.exported,
            source.canvases(self.calibration_photos),
            path,
            source.int8_card("nncf", "onnxruntime"),
            source.photos,
            Bounds(self.max_miou_drop, self.max_part_drop, tuple(self.parts) if self.parts else None),
            self.max_evaluations,
            threads=self.threads,
        )
        log.info("%s: %s", self.name, control)
        return path
