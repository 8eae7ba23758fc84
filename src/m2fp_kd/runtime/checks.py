"""What was found out about a model: how well it agrees with the model that it was made from, and how fast it is."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Hop:
    """Parity across one step that turns a model into another; shares in 0..1 and differences of shares.

    Attributes:
        hop: name of the step, e.g. "PyTorch -> fp32".
        pixel_agreement: share of pixels on which both models name the same part.
        miou_change: mIoU after the step minus mIoU before it; None without labels.
        miou_error: standard error of that change, see `evaluation.metrics.jackknife`; None where it is unknown.
        worst_part: part whose IoU fell most, None where no part has an IoU. Without labels the model before the step
            counts as the truth.
        worst_part_change: change of that part's IoU.
        passed: whether the gate's limits hold.
        thresholds: the gate's limits by name.
        miou_before: mIoU before the step; None without labels.
        miou_after: mIoU after the step; None without labels.
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
