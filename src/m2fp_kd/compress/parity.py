"""Measure parity: how far a model agrees with the model before it, and what it loses in mIoU."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.compress.options import Gate
from m2fp_kd.evaluation.metrics.boundary import mean_boundary_iou
from m2fp_kd.evaluation.metrics.jackknife import GROUPS, score_change
from m2fp_kd.evaluation.metrics.miou import Confusion, iou, miou, pixel_accuracy
from m2fp_kd.evaluation.metrics.predictions import LabelledPhoto, Parse, predictions
from m2fp_kd.evaluation.report.numbers import broken_limits, points
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.checks import LABELS, MODEL_BEFORE, Hop


class ParityError(RuntimeError):
    """Raised when a hop changed the model by more than its gate allows."""


def compare(
    hop: str,
    before: Parse,
    after: Parse,
    photos: Iterable[LabelledPhoto],
    labels: LabelSet,
    gate: Gate,
    truth: str = LABELS,
) -> Hop:
    """Run both models over the photos and compare the difference with the gate.

    Args:
        hop: name of the step between the two models.
        before: model before the hop, from photo to part map at the photo's own size.
        after: model after it.
        photos: photos with or without labels; mIoU is over the labelled ones.
        labels: label set of photos and models.
        gate: limits.
        truth: where the photos' labels come from.

    Raises:
        ValueError: there are no photos, or a part map differs in size from its photo or its label.
    """
    size = (labels.num_parts, labels.num_parts)
    between = np.zeros(size, np.int64)
    matrices, borders = (np.zeros((2, GROUPS, rows, labels.num_parts), np.int64) for rows in (labels.num_parts, 7))
    for index, found in enumerate(predictions(photos, (before, after), labels)):
        between += found.between(0, 1)
        if found.photo.parts is not None:
            for model in (0, 1):
                matrices[model, index % GROUPS] += found.confusion(model)
                borders[model, index % GROUPS] += found.boundary(model)
    if not between.any():
        raise ValueError(f"{hop}: there are no photos to compare on; check the validation photos")
    return _judge(hop, between, matrices, borders, labels, gate, truth)


def raise_failed(parities: Iterable[Hop]) -> None:
    """Raise ParityError if a hop failed; call this when everything is saved.

    Raises:
        ParityError: a hop failed; the message lists every failed hop, its figures and the part that lost most.
    """
    failed = [describe(parity) for parity in parities if not parity.passed]
    if failed:
        raise ParityError(
            "parity gate failed (all files are saved; compress.gates sets the limits; more validation photos "
            "narrow the confidence bound; where static INT8 loses too much, try stage=compress with "
            "compress=int8_accurate or int8_qat):\n" + "\n".join(f"  {line}" for line in failed)
        )


def describe(hop: Hop) -> str:
    """Return the limits that a hop breaks and the part that lost most, in one line."""
    facts = broken_limits(hop)
    if hop.worst_part is not None and hop.worst_part_change is not None and "max_part_drop" not in hop.failed:
        facts.append(f"{hop.worst_part} lost most, {points(hop.worst_part_change, decimals=2)} points of IoU")
    return f"{hop.hop}: {'; '.join(facts)}"


def _judge(
    hop: str,
    between: Confusion,
    matrices: NDArray[np.int64],
    borders: NDArray[np.int64],
    labels: LabelSet,
    gate: Gate,
    truth: str,
) -> Hop:
    """Judge counts: (P, P) between the models; for both with the truth matrices (2, G, P, P), borders (2, G, 7, P)."""
    labelled = bool(matrices.any())
    before, after = matrices.sum(axis=1) if labelled else (np.diag(between.sum(axis=1)), between)
    # A part in neither truth nor prediction on one side has no IoU there, hence no change.
    changes = iou(after) - iou(before)
    worst = int(np.nanargmin(changes)) if not np.isnan(changes).all() else None
    part_change = None if worst is None else float(changes[worst])
    change = score_change(matrices[0], matrices[1]) if labelled else None
    at_borders = score_change(borders[0], borders[1], mean_boundary_iou) if labelled else None
    agreement = pixel_accuracy(between)
    holds = {
        "min_pixel_agreement": agreement >= gate.min_pixel_agreement,
        "max_miou_drop": change is None or 100 * change.most_lost <= gate.max_miou_drop,
        "max_part_drop": gate.max_part_drop is None or part_change is None or -100 * part_change <= gate.max_part_drop,
        "max_boundary_drop": gate.max_boundary_drop is None
        or at_borders is None
        or 100 * at_borders.most_lost <= gate.max_boundary_drop,
    }
    failed = [name for name, held in holds.items() if not held]
    return Hop(
        hop=hop,
        pixel_agreement=agreement,
        miou_before=miou(before) if labelled else None,
        miou_after=miou(after) if labelled else None,
        miou_change=change.value if change else None,
        miou_error=change.error if change else None,
        worst_part=None if worst is None else labels.parts[worst],
        worst_part_change=part_change,
        thresholds=gate.thresholds,
        passed=not failed,
        truth=truth if labelled else MODEL_BEFORE,
        failed=failed,
        boundary_change=at_borders.value if at_borders else None,
        boundary_error=at_borders.error if at_borders else None,
    )
