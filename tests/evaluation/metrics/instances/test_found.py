"""Persons and regions are assembled from a parsing as in M2FP."""

import numpy as np
import pytest

from m2fp_kd.evaluation.metrics.instances import found_in
from tests.evaluation.metrics.instances.logits import HUMAN, parsing_of
from tests.evaluation.metrics.instances.scenes import strip

HEAD, TORSO = 1, 2


def test_a_pixel_belongs_to_the_person_with_the_best_score() -> None:
    part_map = strip(1, 1, 2, 2, 0, 0)
    found = found_in(
        parsing_of(
            [
                (HUMAN, 0.6, strip(1, 1, 1, 1, 0, 0) > 0),
                (HUMAN, 0.8, strip(0, 0, 1, 1, 1, 0) > 0),
                (HUMAN, 0.5, strip(0, 0, 1, 1, 0, 0) > 0),  # completely covered
                (HUMAN, 0.05, strip(0, 0, 0, 0, 0, 1) > 0),  # score too low
            ],
            part_map,
        )
    )
    assert [person.parts.tolist() for person in found.persons] == [[[0, 0, 2, 2, 0, 0]], [[1, 1, 0, 0, 0, 0]]]


def test_a_persons_score_is_the_masks_times_the_mean_of_the_parts() -> None:
    found = found_in(
        parsing_of(
            [
                (HUMAN, 0.9, strip(1, 1, 1, 0) > 0),
                (HEAD, 0.8, strip(1, 0, 0, 0) > 0),
                (HEAD, 0.7, strip(1, 1, 0, 0) > 0),  # not the best head
                (TORSO, 0.6, strip(0, 0, 1, 1) > 0),
                (TORSO, 0.95, strip(0, 0, 0, 1) > 0),  # another person's
                (TORSO, 0.4, strip(0, 0, 1, 0) > 0),  # score too low to be pasted
            ],
            strip(1, 1, 2, 2),
        )
    )
    assert [person.score for person in found.persons] == [pytest.approx(0.9 * (0.8 + 0.6) / 2, rel=1e-5)]


def test_a_person_without_a_part_has_no_score() -> None:
    (person,) = found_in(parsing_of([(HUMAN, 0.9, strip(0, 1) > 0), (HEAD, 0.9, strip(1, 0) > 0)], strip(1, 0))).persons
    assert (person.parts.tolist(), person.score) == ([[0, 0]], 0)


def test_regions_are_the_part_instances() -> None:
    found = found_in(
        parsing_of(
            [
                (HEAD, 0.3, strip(1, 1, 0, 0) > 0),
                (TORSO, 0.6, strip(0, 1, 1, 0) > 0),
                (HEAD, 0.2, strip(0, 0, 0, 1) > 0),
                (0, 0.9, strip(1, 1, 1, 1) > 0),  # background is not a region
                (HEAD, 0.05, strip(0, 0, 0, 1) > 0),
            ],
            strip(0, 0, 0, 0),
        )
    )
    assert found.persons == []
    assert [(region.part, region.mask.tolist(), pytest.approx(region.score, rel=1e-5)) for region in found.regions] == [
        (TORSO, [[False, True, True, False]], 0.6),
        (HEAD, [[True, False, False, False]], 0.3),
        (HEAD, [[False, False, False, True]], 0.2),
    ]


def test_an_empty_photo_has_no_predictions() -> None:
    found = found_in(parsing_of([], np.zeros((2, 3), np.uint8)))
    assert (found.persons, found.regions) == ([], [])
