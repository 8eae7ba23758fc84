"""Check results of a model: how well it agrees with the model that it was made from, and how fast it is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from m2fp_kd.runtime.provenance import renamed

FORMAT = 1
"""Number of the layout of `checks.json`."""

LABELS, TEACHER, MODEL_BEFORE = "the labels", "the teacher's part maps", "the model before"
"""Truths of a `Hop`; the teacher's part maps where no photo has labels, the model before without a teacher too."""


@dataclass(frozen=True)
class SourceChange:
    """Change across a hop on the photos of one source of a mix, in the source's own labels; differences of shares.

    Attributes:
        source: name of the source.
        miou_before: mIoU before the step.
        miou_after: mIoU after the step.
        miou_change: mIoU after the step minus mIoU before it.
        miou_error: standard error of that change; None where it is unknown.
        boundary_change: mean boundary IoU after the step minus that before it.
        boundary_error: standard error of that change.
        worst_part: label whose IoU fell most, None where no label has an IoU.
        worst_part_change: change of that label's IoU.
        failed: names of the limits that do not hold.
    """

    source: str
    miou_before: float
    miou_after: float
    miou_change: float
    miou_error: float | None = None
    boundary_change: float | None = None
    boundary_error: float | None = None
    worst_part: str | None = None
    worst_part_change: float | None = None
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Hop:
    """Parity across one step that turns a model into another; shares in 0..1 and differences of shares.

    Attributes:
        hop: name of the step, e.g. "PyTorch -> fp32".
        pixel_agreement: share of pixels on which both models name the same part.
        miou_change: mIoU after the step minus mIoU before it; None where the model before is the truth.
        miou_error: standard error of that change, see `evaluation.metrics.jackknife`; None where it is unknown.
        boundary_change: mean boundary IoU after the step minus that before it; None where the model before is the
            truth, and in files of earlier versions.
        boundary_error: standard error of that change.
        worst_part: part whose IoU fell most, None where no part has an IoU.
        worst_part_change: change of that part's IoU.
        passed: whether the gate's limits hold, also on every source.
        thresholds: the gate's limits by name; those of the scores also apply to every source.
        miou_before: mIoU before the step, or None.
        miou_after: mIoU after the step, or None.
        truth: what mIoU and the parts' IoU are measured against: LABELS, TEACHER or MODEL_BEFORE.
        failed: names of the limits that do not hold; empty in files of earlier versions.
        sources: changes on the sources of a mix, save for the only one with the student's labels, which the figures
            above are about; empty without a mix, and in files of earlier versions.
    """

    hop: str
    pixel_agreement: float
    miou_change: float | None = None
    miou_error: float | None = None
    worst_part: str | None = None
    worst_part_change: float | None = None
    passed: bool = True
    thresholds: dict[str, float] = field(default_factory=dict)
    miou_before: float | None = None
    miou_after: float | None = None
    truth: str = LABELS
    failed: list[str] = field(default_factory=list)
    boundary_change: float | None = None
    boundary_error: float | None = None
    sources: list[SourceChange] = field(default_factory=list)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Hop":
        """Inverse of `dataclasses.asdict`."""
        return cls(**dict(values) | {"sources": [SourceChange(**one) for one in values.get("sources", ())]})


@dataclass(frozen=True)
class Latency:
    """Time for one photo in one engine, from pixels to the part map, on the machine that measured it.

    Attributes:
        p50_ms: median time.
        p95_ms: time that 95 % of the photos stay under.
        threads: CPU threads; None if the engine chose.
        precision: precision of the engine's floating-point part.
        cpu: name of the CPU.
        fp32_p50_ms: median time of the fp32 export that an INT8 file was made from; None for an fp32 file.
    """

    p50_ms: float
    p95_ms: float
    threads: int | None
    precision: str
    cpu: str
    fp32_p50_ms: float | None = None


@dataclass(frozen=True)
class Score:
    """Accuracy of an artefact on labelled photos.

    Attributes:
        photos: the photos, such as "pascal_person_part, test photos".
        count: their number.
        miou: mean IoU, 0..1, at the labels' own size.
        boundary_iou: mean boundary IoU, see `evaluation.metrics.boundary`; None in files of earlier versions.
        boundary_f: mean boundary F; None in files of earlier versions.
    """

    photos: str
    count: int
    miou: float
    boundary_iou: float | None = None
    boundary_f: float | None = None


@dataclass(frozen=True)
class CheckResults:
    """Measurements made after an artefact was written, saved as `checks.json`.

    Attributes:
        engine: engine that parity was measured with; empty before anything was measured.
        precision: precision of that engine's floating-point part.
        parity: hops that lead to the artefact, in order.
        latency: `Latency` by name of the engine.
        score: accuracy on the photos that its run's report is about; None where it is unknown.
    """

    engine: str = ""
    precision: str = ""
    parity: tuple[Hop, ...] = ()
    latency: dict[str, Latency] = field(default_factory=dict)
    score: Score | None = None

    def slower_int8(self, engine: str) -> str | None:
        """Return a sentence if an engine was measured to run this INT8 artefact slower than fp32, else None."""
        known = self.latency.get(engine)
        if known is None or known.fp32_p50_ms is None or known.p50_ms <= known.fp32_p50_ms:
            return None
        times = f"{known.p50_ms:.1f} and {known.fp32_p50_ms:.1f} ms a photo"
        return f"{engine} ran INT8 slower than fp32: {times} ({known.cpu}, threads: {known.threads})"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON writes them, with the number of their layout."""
        return {"format": FORMAT} | asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CheckResults":
        """Inverse of `to_dict`.

        Raises:
            ValueError: an unknown layout, or a field is missing or unknown.
        """
        found = dict(values)
        if (layout := found.pop("format", None)) != FORMAT:
            raise ValueError(f"checks of format {layout}, but this version reads format {FORMAT}")
        try:
            found["parity"] = tuple(map(Hop.from_dict, found["parity"]))
            found["latency"] = {engine: Latency(**facts) for engine, facts in found["latency"].items()}
            found["score"] = Score(**found["score"]) if found.get("score") else None
            return cls(**found)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"broken checks: {error}") from error

    @classmethod
    def from_card(cls, values: Mapping[str, Any]) -> "CheckResults":
        """Return the results that a card of the first layout holds; empty for a later one."""
        latency = {
            engine: Latency(**renamed(facts, {"arithmetic": "precision"}))
            for engine, facts in values.get("latency", {}).items()
        }
        parity = tuple(Hop(hop=hop, **facts) for hop, facts in values.get("parity", {}).items())
        return cls(values.get("engine", ""), values.get("arithmetic", ""), parity, latency)
