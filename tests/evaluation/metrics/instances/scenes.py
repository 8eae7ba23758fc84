"""Truths and predictions for the instance metrics: hand-made strips of pixels, and random scenes."""

from dataclasses import dataclass

import numpy as np

from m2fp_kd.evaluation.metrics.instances import Found, FoundPerson, FoundRegion, InstanceMetrics

NUM_PARTS = 5
UNKNOWN = 255


@dataclass(frozen=True)
class Scene:
    """A photo's truth and the predictions for it."""

    parts: np.ndarray
    humans: np.ndarray
    found: Found


def strip(*values: int) -> np.ndarray:
    """Return a map of one row."""
    return np.array([values], np.uint8)


def person(parts: np.ndarray, score: float) -> FoundPerson:
    return FoundPerson(parts, score)


def regions_of(found: FoundPerson) -> list[FoundRegion]:
    """Return the parts of a person, with the person's score."""
    present = np.unique(found.parts[found.parts > 0]).tolist()
    return [FoundRegion(part, found.parts == part, found.score) for part in present]


def found_of(*persons: FoundPerson) -> Found:
    """Return persons with their parts as predictions."""
    return Found(persons, [region for one in persons for region in regions_of(one)])


def figures(*scenes: Scene, variant: str = "papers", num_parts: int = NUM_PARTS) -> dict[str, float]:
    return measured(*scenes, variant=variant, num_parts=num_parts).compute()


def measured(*scenes: Scene, variant: str = "papers", num_parts: int = NUM_PARTS) -> InstanceMetrics:
    metrics = InstanceMetrics(num_parts, UNKNOWN, variant)  # type: ignore[arg-type]
    for scene in scenes:
        metrics.add(scene.found, scene.parts, scene.humans)
    return metrics


def random_scenes(seed: int, count: int = 8, apart: bool = False, unknown: float = 0.0) -> list[Scene]:
    """Return photos of up to four persons with poor predictions: shifted, relabelled, doubled, missed and invented.

    Args:
        seed: seed of everything random.
        count: number of photos.
        apart: keep the persons so far apart that a prediction overlaps only one of them.
        unknown: share of the pixels whose truth is unknown.
    """
    rng = np.random.default_rng(seed)
    scores = rng.permutation(1000).tolist()  # no two alike
    return [_random_scene(rng, scores, apart, unknown) for _ in range(count)]


def _random_scene(rng: np.random.Generator, scores: list[int], apart: bool, unknown: float) -> Scene:
    size = (64, 64)
    parts, humans = np.zeros(size, np.uint8), np.zeros(size, np.int32)
    found = []
    for index in range(rng.integers(0, 5)):
        row, column = (32 * (index // 2), 32 * (index % 2)) if apart else rng.integers(0, 37, 2)
        figure = _figure(rng)
        shape = figure > 0
        window = np.s_[row : row + 24, column : column + 24]
        parts[window][shape], humans[window][shape] = figure[shape], 7 * index + 3  # ids may have gaps
        for _ in range(rng.choice(3, p=(0.15, 0.6, 0.25))):
            copy = figure.copy()
            copy[rng.random(copy.shape) < rng.choice((0.02, 0.2, 0.5))] = 0
            if rng.random() < 0.4:
                copy[copy == rng.integers(1, NUM_PARTS)] = rng.integers(0, NUM_PARTS)
            whole = np.zeros(size, np.uint8)
            down, right = rng.integers(0, 3, 2)
            whole[row + down : row + down + 24, column + right : column + right + 24] = copy
            found.append(person(whole, scores.pop() / 1000))
    if not apart and rng.random() < 0.5:
        found.append(person(rng.integers(0, NUM_PARTS, size).astype(np.uint8), scores.pop() / 1000))
    parts[rng.random(size) < unknown] = UNKNOWN
    regions = [
        FoundRegion(region.part, region.mask, scores.pop() / 1000) for one in found for region in regions_of(one)
    ]
    return Scene(parts, humans, Found(found, regions))


def _figure(rng: np.random.Generator) -> np.ndarray:
    """Return a person of bands of parts, uint8 (24, 24), ragged so that few overlaps are equal."""
    bands = rng.integers(1, NUM_PARTS, rng.integers(1, 5)).astype(np.uint8)
    figure = np.repeat(bands, -(-24 // len(bands)))[:24, None].repeat(24, axis=1)
    left, right = rng.integers(0, 6, (2, 24))
    columns = np.arange(24)
    return np.where((columns >= left[:, None]) & (columns < 24 - right[:, None]), figure, 0).astype(np.uint8)
