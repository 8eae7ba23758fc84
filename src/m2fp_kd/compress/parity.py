"""Measure parity: how far a model agrees with the model before it, and what it loses in mIoU."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from m2fp_kd.compress.changes import Changes, Counts
from m2fp_kd.compress.options import Gate
from m2fp_kd.data.reading import SourceLabels
from m2fp_kd.evaluation.metrics.miou import Confusion, pixel_accuracy
from m2fp_kd.evaluation.metrics.predictions import LabelledPhoto, Parse, in_source, predictions
from m2fp_kd.evaluation.report.numbers import broken_limits, most_lost
from m2fp_kd.labels import LabelSet, PartSets
from m2fp_kd.runtime.checks import LABELS, MODEL_BEFORE, Hop, SourceChange


class ParityError(RuntimeError):
    """Raised when a hop changed the model by more than its gate allows."""


class MixedPhoto(LabelledPhoto, Protocol):
    """A photo that may have labels of the source of a mix, whatever `parts` has."""

    @property
    def of_source(self) -> SourceLabels | None: ...


def compare(
    hop: str,
    before: Parse,
    after: Parse,
    photos: Iterable[MixedPhoto],
    labels: LabelSet,
    gate: Gate,
    truth: str = LABELS,
) -> Hop:
    """Run both models over the photos and compare the difference with the gate.

    In a mix, the gate's limits of scores also hold on each source alone, in the labels of that source.

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
    between = np.zeros((labels.num_parts, labels.num_parts), np.int64)
    own, sources = Counts(PartSets.same(labels)), dict[str, Counts]()
    for found in predictions(photos, (before, after), labels):
        between += found.between(0, 1)
        if found.photo.parts is not None:
            own.add(found)
        if source := found.photo.of_source:
            of_source = sources.setdefault(source.source, Counts(source.table))
            of_source.add(in_source(found, source.parts, source.table))
    if not between.any():
        raise ValueError(f"{hop}: there are no photos to compare on; check the validation photos")
    alone = sum(counts.table.one_to_one for counts in sources.values()) == 1
    others = {name: counts for name, counts in sources.items() if not (alone and counts.table.one_to_one)}
    return _judge(hop, between, own, others, gate, truth)


def raise_failed(parities: Iterable[Hop]) -> None:
    """Raise ParityError if a hop failed; call this when everything is saved.

    Raises:
        ParityError: a hop failed; the message lists every failed hop, its figures and the part that lost most.
    """
    failed = [describe(parity) for parity in parities if not parity.passed]
    if failed:
        raise ParityError(
            "parity gate failed (all files are saved; compress.gates sets the limits, and the same command with "
            "others checks the same files; more validation photos narrow the confidence bound; where static INT8 "
            "loses too much, try stage=compress with compress=int8_accurate or int8_qat):\n"
            + "\n".join(f"  {line}" for line in failed)
        )


def describe(hop: Hop) -> str:
    """Return the limits that a hop breaks and the parts that lost most, in one line."""
    facts = broken_limits(hop)
    if hop.worst_part is not None and "max_part_drop" not in hop.failed:
        facts.append(most_lost(hop))
    for one in hop.sources:
        if one.failed and one.worst_part is not None and "max_part_drop" not in one.failed:
            facts.append(f"on {one.source}, {most_lost(one)}")
    return f"{hop.hop}: {'; '.join(facts)}"


def _judge(hop: str, between: Confusion, own: Counts, sources: dict[str, Counts], gate: Gate, truth: str) -> Hop:
    """Judge the pixels of both models (P, P), their scores with the student's labels, and those on the sources."""
    agreement = pixel_accuracy(between)
    changes = Changes.of(own) or Changes.between(between, own.table)
    failed = [] if agreement >= gate.min_pixel_agreement else ["min_pixel_agreement"]
    failed += changes.broken(gate)
    found = {name: change for name, counts in sources.items() if (change := Changes.of(counts))}
    by_source = [SourceChange(name, **one.fields, failed=one.broken(gate)) for name, one in found.items()]
    return Hop(
        hop=hop,
        pixel_agreement=agreement,
        **changes.fields,
        thresholds=gate.thresholds,
        passed=not failed and not any(one.failed for one in by_source),
        truth=MODEL_BEFORE if changes.miou is None else truth,
        failed=failed,
        sources=by_source,
    )
