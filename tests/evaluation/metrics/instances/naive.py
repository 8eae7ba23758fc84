"""Independent and slow implementation of the metrics, written from the papers with sets of pixels."""

from collections.abc import Callable, Iterator

import numpy as np

from tests.evaluation.metrics.instances.scenes import NUM_PARTS, UNKNOWN, Scene

Overlap = Callable[[np.ndarray, np.ndarray], float]


def true_persons(scene: Scene) -> list[np.ndarray]:
    """Return one part map per person, 0 outside the person, with unknown pixels kept."""
    known = scene.parts != UNKNOWN
    persons = []
    for human in sorted(set(scene.humans.ravel().tolist()) - {0}):
        own = np.where(known & (scene.humans != human), 0, scene.parts)
        if ((own > 0) & known).any():
            persons.append(own)
    return persons


def iou_by_part(truth: np.ndarray, found: np.ndarray) -> dict[int, float]:
    known = truth != UNKNOWN
    values = {}
    for part in range(NUM_PARTS):
        either = known & ((truth == part) | (found == part))
        if either.any():
            values[part] = float((known & (truth == part) & (found == part)).sum() / either.sum())
    return values


def mean_part_iou(truth: np.ndarray, found: np.ndarray) -> float:
    values = iou_by_part(truth, found)
    return sum(values.values()) / len(values)


def part_ap(scenes: list[Scene], threshold: float) -> float:
    truths = [true_persons(scene) for scene in scenes]
    found = [(one.score, photo, one.parts) for photo, scene in enumerate(scenes) for one in scene.found.persons]
    return area([right for right, *_ in verdicts(truths, found, mean_part_iou, threshold)], sum(map(len, truths)))


def pcp(scenes: list[Scene], threshold: float) -> float:
    truths = [true_persons(scene) for scene in scenes]
    found = [(one.score, photo, one.parts) for photo, scene in enumerate(scenes) for one in scene.found.persons]
    shares = []
    for right, photo, number, parts in verdicts(truths, found, mean_part_iou, threshold):
        if right:
            truth = truths[photo][number]
            own = [part for part in range(1, NUM_PARTS) if (truth == part).any()]
            values = iou_by_part(truth, parts)
            shares.append(sum(values[part] > threshold for part in own) / len(own))
    return sum(shares) / sum(map(len, truths))


def region_ap(scenes: list[Scene], threshold: float, claim_once: bool = True, absent: float | None = None) -> float:
    """Return APr; a part that is neither true nor predicted anywhere counts as `absent`, or not at all if None."""
    per_part = []
    for part in range(1, NUM_PARTS):
        truths = [
            [np.where(own == UNKNOWN, UNKNOWN, own == part) for own in true_persons(scene) if (own == part).any()]
            for scene in scenes
        ]
        found = [
            (region.score, photo, region.mask)
            for photo, scene in enumerate(scenes)
            for region in scene.found.regions
            if region.part == part
        ]
        count = sum(map(len, truths))
        if count:
            right = [right for right, *_ in verdicts(truths, found, mask_iou, threshold, claim_once)]
            per_part.append(area(right, count))
        elif not found and absent is not None:
            per_part.append(absent)
    return sum(per_part) / len(per_part)


def mask_iou(truth: np.ndarray, found: np.ndarray) -> float:
    known = truth != UNKNOWN
    return float((known & (truth == 1) & found).sum() / (known & ((truth == 1) | found)).sum())


def verdicts(
    truths: list[list[np.ndarray]],
    found: list[tuple[float, int, np.ndarray]],
    overlap: Overlap,
    threshold: float,
    claim_once: bool = True,
) -> Iterator[tuple[bool, int, int, np.ndarray]]:
    """Yield, best score first: whether a prediction is correct, its photo, the truth it overlaps most, and itself."""
    taken = set()
    for _, photo, one in sorted(found, key=lambda row: -row[0]):
        overlaps = [overlap(truth, one) for truth in truths[photo]]
        number = int(np.argmax(overlaps)) if overlaps else -1
        right = bool(overlaps) and overlaps[number] > threshold and not (claim_once and (photo, number) in taken)
        if right:
            taken.add((photo, number))
        yield right, photo, number, one


def area(right: list[bool], count: int) -> float:
    """Return the area under the precision-recall curve, each precision the best at the same or a higher recall."""
    points, hits = [], 0
    for rank, hit in enumerate(right, start=1):
        hits += hit
        points.append((hits / count, hits / rank))
    total, before = 0.0, 0.0
    for recall, _ in points:
        if recall > before:
            total += (recall - before) * max(precision for other, precision in points if other >= recall)
            before = recall
    return total
