"""All metrics against an independent implementation of the papers, and their invariances."""

from dataclasses import replace

import numpy as np
import pytest

from m2fp_kd.evaluation.metrics.instances import Found, FoundPerson, FoundRegion, InstanceMetrics
from m2fp_kd.evaluation.metrics.instances.metrics import THRESHOLDS
from m2fp_kd.evaluation.metrics.instances.part_ap import part_ap
from m2fp_kd.evaluation.metrics.instances.region_ap import region_ap, region_ap_m2fp
from tests.evaluation.metrics.instances import naive
from tests.evaluation.metrics.instances.scenes import (
    NUM_PARTS,
    UNKNOWN,
    Scene,
    figures,
    found_of,
    measured,
    person,
    random_scenes,
    strip,
)

SEEDS = range(6)


def with_found(scene: Scene, persons: list[FoundPerson], regions: list[FoundRegion]) -> Scene:
    return replace(scene, found=Found(persons, regions))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("unknown", [0.0, 0.2])
def test_values_match_the_independent_implementation(seed: int, unknown: float) -> None:
    scenes = random_scenes(seed, unknown=unknown)
    parts = [naive.part_ap(scenes, threshold) for threshold in THRESHOLDS]
    regions = [naive.region_ap(scenes, threshold) for threshold in THRESHOLDS]
    got = figures(*scenes)
    assert got == pytest.approx(
        {
            "APp50": parts[4],
            "APvol": np.mean(parts),
            "PCP50": naive.pcp(scenes, 0.5),
            "APr50": regions[4],
            "APr60": regions[5],
            "APr70": regions[6],
            "APr": np.mean(regions),
        }
    )
    assert all(0 < value < 1 for value in got.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_m2fps_variant_lets_a_truth_be_claimed_repeatedly(seed: int) -> None:
    scenes = random_scenes(seed)
    papers, m2fp = figures(*scenes), figures(*scenes, variant="m2fp")
    expected = [naive.region_ap(scenes, threshold, claim_once=False, absent=0.0) for threshold in THRESHOLDS]
    assert (m2fp["APr50"], m2fp["APr"]) == pytest.approx((expected[4], np.mean(expected)))
    assert m2fp["APr"] >= papers["APr"]  # all parts occur here
    names = ("APp50", "APvol", "PCP50")
    assert [m2fp[name] for name in names] == [papers[name] for name in names]


def test_m2fps_variant_counts_persons_without_known_parts_as_missed() -> None:
    one = strip(1, 2, 0, 0)
    scene = Scene(one, strip(1, 1, 2, 0), found_of(person(one, 0.9)))
    assert figures(scene)["APp50"] == figures(scene)["PCP50"] == 1
    assert figures(scene, variant="m2fp")["APp50"] == figures(scene, variant="m2fp")["PCP50"] == 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_order_of_photos_and_scale_of_scores_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = random_scenes(seed)
    shuffled = []
    for index in rng.permutation(len(scenes)):
        persons, regions = scenes[index].found.persons, scenes[index].found.regions
        shuffled.append(
            with_found(
                scenes[index],
                [replace(persons[at], score=3 * persons[at].score - 1) for at in rng.permutation(len(persons))],
                [replace(regions[at], score=regions[at].score ** 3) for at in rng.permutation(len(regions))],
            )
        )
    assert figures(*shuffled) == pytest.approx(figures(*scenes), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_higher_threshold_never_gives_a_higher_value(seed: int) -> None:
    metrics = measured(*random_scenes(seed))
    for ap, claims in ((part_ap, metrics._persons), (region_ap, metrics._regions), (region_ap_m2fp, metrics._regions)):
        values = [ap(claims, threshold) for threshold in np.linspace(0, 1, 50)]  # type: ignore[operator]
        assert (np.diff(values) <= 1e-12).all() and values[0] > values[-1] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_predictions_at_unknown_pixels_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = random_scenes(seed, unknown=0.3)
    changed = []
    for scene in scenes:
        noise = rng.integers(0, NUM_PARTS, scene.parts.shape).astype(np.uint8)
        unknown = scene.parts == UNKNOWN
        persons = [
            # A person without any part counts as wrong; with noise it would lie only in unknown pixels and not count.
            replace(one, parts=np.where(unknown, noise, one.parts)) if one.parts.any() else one
            for one in scene.found.persons
        ]
        regions = [replace(one, mask=np.where(unknown, noise > 1, one.mask)) for one in scene.found.regions]
        changed.append(with_found(scene, persons, regions))
    assert figures(*changed) == figures(*scenes)


def test_predicting_the_truth_scores_one_in_both_variants() -> None:
    scenes = []
    for scene in random_scenes(3):
        truths = [np.where(scene.humans == human, scene.parts, 0) for human in np.unique(scene.humans) if human]
        scenes.append(replace(scene, found=found_of(*(person(one, 0.5) for one in truths))))
    assert set(figures(*scenes).values()) == {1.0}
    assert set(figures(*scenes, variant="m2fp").values()) == {1.0}


def test_a_false_person_on_an_empty_photo_lowers_ap() -> None:
    one = strip(1, 2, 0)
    good = Scene(one, strip(1, 1, 0), found_of(person(one, 0.5)))
    false = Scene(strip(0, 0, 0), strip(0, 0, 0), found_of(person(one, 0.9)))
    got = figures(good, false)
    assert (got["APp50"], got["APr50"], got["PCP50"]) == (0.5, 0.5, 1)


def test_computing_without_a_person_is_an_error() -> None:
    metrics = InstanceMetrics(NUM_PARTS)
    metrics.add(Found([], []), strip(0, 1), strip(0, 0))
    with pytest.raises(ValueError, match="no photo has a person with a known part"):
        metrics.compute()


def test_an_unknown_variant_is_an_error() -> None:
    with pytest.raises(ValueError, match="variant 'coco' is not one of papers, m2fp"):
        InstanceMetrics(NUM_PARTS, variant="coco")  # type: ignore[arg-type]
