"""What a run has to show for itself, and its layout as ``report.json``.

``report.json``; a value that was not measured is null, never invented::

    format      1, the number of this layout
    name        str, the run
    created     str, ISO 8601 with time zone
    labels      LabelSet.to_dict()
    models      {teacher, student_original, student_fp32, student_int8, ...: ModelResult}; the first is the one to
                compare with, the last the one to ship; a run without a teacher has no "teacher", one without pruning
                or quantisation-aware training no "student_original"
    parity      [Hop, ...] in the order of the hops
    shares      {part: share of the scored pixels that are it}, what is rare is what INT8 and pruning lose first
    curves      {metric: [[step, value], ...]}
    data        {...} which photos, how many, their hash
    lineage     {...} teacher with licence and SHA-256, hash of the data, parents
    config      the whole composed config
    versions    {library: version}
    cpu         {model, architecture, cores, features, outlook: what to expect of INT8 and bf16 on it}
    pictures    [{name, file}, ...] strips beside report.json

IoU, mIoU and pixel agreement are shares in 0..1 and their changes differences of shares (-0.012 = 1.2 points lost);
megabytes are 10^6 bytes; times are milliseconds of one photo, decoded pixels to part map at the photo's own size.
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from m2fp_kd.evaluation.metrics.reliability import Reliability
from m2fp_kd.evaluation.report.pictures import Picture
from m2fp_kd.labels import LabelSet

FORMAT = 1

TITLES = {
    "photo": "Photo",
    "truth": "Truth",
    "teacher": "Teacher",
    "student_original": "Student as trained",
    "student_fp32": "Student fp32",
    "student_int8": "Student INT8",
}


@dataclass(frozen=True)
class ModelResult:
    """One model of a run; None is "not measured".

    Attributes:
        miou: over parts present in truth or prediction, at the labels' own size.
        miou_absent_zero: as M2FP's evaluator gives it.
        iou: part -> IoU, None for a part in neither truth nor prediction.
        instances: APp50, APvol, PCP50, APr50, APr60, APr70 and APr, shares in 0..1, as `evaluation.instances` defines
            them; empty where the model does not tell persons apart or the photos have no person ids.
        reliability: accuracy by confidence and the expected calibration error, at the cells of the stride-4 grid.
        megabytes: size of the file(s) that is shipped.
        p50_ms: median time of one photo.
        p95_ms: time that 95 % of the photos stay under.
        peak_mb: peak memory of a process that does nothing else.
        parameters: number of weights.
        gmacs: 10^9 multiply-accumulates of the network for one photo.
        threads: CPU threads that the times are for.
        engine: "openvino", "onnxruntime", "pytorch", ...
        precision: "f32", "bf16", ... as the engine computed.
        note: where figures come from if not from this run, e.g. the card of a cached teacher, and why some are missing.
    """

    miou: float | None = None
    miou_absent_zero: float | None = None
    iou: dict[str, float | None] = field(default_factory=dict)
    instances: dict[str, float] = field(default_factory=dict)
    reliability: Reliability | None = None
    megabytes: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    peak_mb: float | None = None
    parameters: int | None = None
    gmacs: float | None = None
    threads: int | None = None
    engine: str | None = None
    precision: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Hop:
    """Parity across one step that turns a model into another.

    Attributes:
        hop: e.g. "PyTorch -> fp32".
        pixel_agreement: share of pixels on which both sides name the same part.
        miou_change: mIoU after minus before; None without labels.
        miou_error: its standard error, see `evaluation.jackknife`; None where one group of photos has labels.
        worst_part: the part whose IoU fell most; None without labels.
        worst_part_change: by how much.
        passed: whether the gate let it through.
        thresholds: the gate's limits by name.
    """

    hop: str
    pixel_agreement: float
    miou_change: float | None
    miou_error: float | None
    worst_part: str | None
    worst_part_change: float | None
    passed: bool
    thresholds: dict[str, float]


@dataclass(frozen=True)
class RunReport:
    """All of a run's results; the fields are those of the JSON layout above."""

    name: str
    created: str
    labels: LabelSet
    models: dict[str, ModelResult]
    parity: list[Hop] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    cpu: dict[str, Any] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("a report needs at least one model")

    @property
    def failed(self) -> list[Hop]:
        """The hops whose gate failed."""
        return [hop for hop in self.parity if not hop.passed]

    def to_dict(self) -> dict[str, Any]:
        """The JSON layout above."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["labels"] = self.labels.to_dict()
        plain["models"] = {key: asdict(result) for key, result in self.models.items()}
        plain["parity"] = [asdict(hop) for hop in self.parity]
        plain["pictures"] = [
            {"name": picture.name, "file": picture_file(index)} for index, picture in enumerate(self.pictures)
        ]
        return {"format": FORMAT} | _plain(plain)


def picture_file(index: int) -> str:
    """Where picture number `index` lies, relative to the report."""
    return f"pictures/{index + 1:02d}.jpg"


def title(key: str) -> str:
    """The key of a model or of a picture's map as people read it."""
    return TITLES.get(key, key.replace("_", " ").capitalize())


def _plain(value: Any) -> Any:
    """JSON's own types: NumPy scalars unwrapped, paths as strings, not-a-number and infinity as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
