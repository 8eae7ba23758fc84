"""Results of a run, and their layout as ``report.json``.

Layout of ``report.json``; a value that was not measured is null::

    format      2, the number of this layout
    name        str, name of the run
    created     str, ISO 8601 with time zone
    labels      LabelSet.to_dict()
    models      {teacher, student_original, student_fp32, student_int8, ...: ModelResult}; the others are compared with
                the first, the last is the one to ship; a run without a teacher has no "teacher", a run without pruning
                or quantisation-aware training no "student_original"
    parity      [Hop, ...] in the order of the hops
    shares      {part: its share of the scored pixels}; INT8 and pruning harm rare parts first
    curves      {metric: [[step, value], ...]}
    data        DataSummary: photos, their number and hash
    lineage     Lineage: teacher with licence and SHA-256, hash of the data, parents
    config      the complete composed configuration, with absolute paths shortened to their last component
    versions    {library: version}
    cpu         {model, architecture, cores, features, expected_speedup: statements about INT8 and bf16 on it}
    pictures    [{name, file}, ...] strips beside report.json

IoU, mIoU and pixel agreement are shares in 0..1, and their changes are differences of shares (-0.012 = 1.2 points
lost); megabytes are 10^6 bytes; times are milliseconds per photo, from decoded pixels to the part map at the photo's
own size.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from m2fp_kd.evaluation.metrics.boundary import Boundary
from m2fp_kd.evaluation.metrics.reliability import Reliability
from m2fp_kd.evaluation.report.pictures import PictureFile
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.checks import Hop
from m2fp_kd.runtime.provenance import Lineage, Record, renamed

FORMAT = 2
OLD_FORMAT = 1
"""`RunReport.from_dict` reads its key names too."""

NOTABLE_CORES = 0.25
"""CPU cores in use by other processes from which on a time is marked as too long."""

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
    """Results of one model of a run; None means not measured.

    Attributes:
        miou: mean IoU over parts present in truth or prediction, at the labels' own size.
        miou_absent_zero: mean IoU as M2FP's evaluator computes it.
        iou: part -> IoU, None for a part in neither truth nor prediction.
        instances: APp50, APvol, PCP50, APr50, APr60, APr70 and APr, 0..1, defined in `evaluation.metrics.instances`;
            empty if the model does not separate persons or the photos have no person ids.
        sources: mIoU on every source of a mix in the source's own labels, 0..1; empty without a mix.
        boundary: boundary IoU and boundary F within 1 % of the diagonal, at the labels' own size.
        reliability: accuracy by confidence and expected calibration error, at the cells of the stride-4 grid.
        megabytes: size of the shipped file(s).
        p50_ms: median time of one photo.
        p95_ms: 95th percentile of the time of one photo.
        other_cores: mean number of CPU cores that other processes used while the time was measured.
        peak_mb: peak memory of a process that only runs this model.
        parameters: number of weights.
        gmacs: 10^9 multiply-accumulates of the network for one photo.
        threads: number of CPU threads of the measurement.
        engine: "openvino", "onnxruntime", "pytorch", ...
        precision: precision of the engine's floating-point part: "f32", "bf16", ...
        note: source of figures that are not from this run, such as a cached teacher's card, and reasons for missing
            figures.
    """

    miou: float | None = None
    miou_absent_zero: float | None = None
    iou: dict[str, float | None] = field(default_factory=dict)
    instances: dict[str, float] = field(default_factory=dict)
    sources: dict[str, float] = field(default_factory=dict)
    boundary: Boundary | None = None
    reliability: Reliability | None = None
    megabytes: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    other_cores: float | None = None
    peak_mb: float | None = None
    parameters: int | None = None
    gmacs: float | None = None
    threads: int | None = None
    engine: str | None = None
    precision: str | None = None
    note: str | None = None

    @property
    def boundary_iou(self) -> float | None:
        """Mean boundary IoU, 0..1."""
        return self.boundary.iou if self.boundary else None

    @property
    def boundary_f(self) -> float | None:
        """Mean boundary F, 0..1."""
        return self.boundary.f if self.boundary else None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a result from the output of `dataclasses.asdict`, also of the format before this one."""
        found = renamed(values, {"arithmetic": "precision"})
        if found.get("boundary"):
            found["boundary"] = Boundary(**found["boundary"])
        if found.get("reliability"):
            found["reliability"] = Reliability(**found["reliability"])
        return cls(**found)


@dataclass(frozen=True)
class DataSummary(Record):
    """The photos of a run; unknown values are None.

    Attributes:
        name: name of the data set.
        training_photos: number of labelled training photos.
        unlabelled_photos: number of training photos without labels.
        validation_photos: number of validation photos.
        scored_on: kind of photos that the models were scored on.
        scored_photos: number of photos that the models were scored on.
        sha256: hash of all photos and labels.
        scored_sha256: hash of the photos and labels that the models were scored on.
        ungated: sources of a mix whose scores no gate limits, because they have no validation photos with labels.
    """

    name: str | None = None
    training_photos: int | None = None
    unlabelled_photos: int | None = None
    validation_photos: int | None = None
    scored_on: str | None = None
    scored_photos: int | None = None
    sha256: str | None = None
    scored_sha256: str | None = None
    ungated: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunReport:
    """All results of a run; the fields are those of the JSON layout above."""

    name: str
    created: str
    labels: LabelSet
    models: dict[str, ModelResult]
    parity: list[Hop] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    data: DataSummary = DataSummary()
    lineage: Lineage = field(default_factory=Lineage)
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    cpu: dict[str, Any] = field(default_factory=dict)
    pictures: list[PictureFile] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("a report needs at least one model")

    @property
    def failed(self) -> list[Hop]:
        """Hops that failed their gate."""
        return [hop for hop in self.parity if not hop.passed]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON layout above."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["labels"] = self.labels.to_dict()
        plain["models"] = {key: asdict(result) for key, result in self.models.items()}
        plain["parity"] = [asdict(hop) for hop in self.parity]
        plain["data"] = self.data.to_dict()
        plain["lineage"] = self.lineage.to_dict()
        plain["pictures"] = [asdict(picture) for picture in self.pictures]
        return {"format": FORMAT} | _plain(plain)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a report from the output of `to_dict`, also of the format before this one.

        Raises:
            ValueError: the report has an unknown format.
        """
        if (found := values.get("format")) not in (OLD_FORMAT, FORMAT):
            raise ValueError(f"has report format {found}, but this version reads format {FORMAT}")
        plain = {name: value for name, value in values.items() if name != "format"}
        plain["labels"] = LabelSet.from_dict(values["labels"])
        plain["models"] = {key: ModelResult.from_dict(result) for key, result in values["models"].items()}
        plain["parity"] = [Hop.from_dict(hop) for hop in values["parity"]]
        plain["curves"] = {name: [_point(*point) for point in curve] for name, curve in values["curves"].items()}
        plain["data"] = DataSummary.from_dict(values["data"])
        plain["lineage"] = Lineage.from_dict(values["lineage"])
        plain["cpu"] = renamed(values["cpu"], {"outlook": "expected_speedup"})
        plain["pictures"] = [PictureFile(**picture) for picture in values["pictures"]]
        return cls(**plain)


def title(key: str) -> str:
    """Return the title of a model or of a picture's map by its key."""
    return TITLES.get(key, key.replace("_", " ").capitalize())


def _point(step: int, value: float | None) -> tuple[int, float]:
    return step, math.nan if value is None else value


def _plain(value: Any) -> Any:
    """Convert to JSON's types: NumPy scalars unwrapped, paths as strings, NaN and infinity as None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
