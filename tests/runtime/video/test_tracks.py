"""Persons keep their ids: through motion, crossing, hiding and gaps; for persons and for connected regions."""

import numpy as np
import pytest

from m2fp_kd.runtime.video.appearance import Appearance
from m2fp_kd.runtime.video.tracks import Tracker, covered, overlap
from tests.runtime.video.scenes import GREEN, RED, Drawn, parsing

KINDS = ("persons", "regions")


def ids_by_left(scenes, kind, rate=25.0, cut=None):
    """The ids of every scene's people, from left to right."""
    tracker, found = Tracker(), []
    for index, people in enumerate(scenes):
        result = parsing(people, kind)
        ids = tracker(result, index / rate, cut=index == cut)
        order = sorted(range(len(ids)), key=lambda one: result.people[one].box[0])
        found.append([ids[one] for one in order])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_ids_follow_people_who_walk(kind):
    found = ids_by_left([[Drawn(left, RED), Drawn(left + 60, GREEN)] for left in range(4, 70, 6)], kind)
    assert found == [found[0]] * len(found) and sorted(found[0]) == [1, 2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [3, 6])
@pytest.mark.parametrize("alike", [False, True])
def test_ids_survive_people_who_cross(kind, step, alike):
    way = range(0, 130, step)
    scenes = [[Drawn(130 - left, RED if alike else GREEN), Drawn(left, RED)] for left in way]
    found = ids_by_left(scenes, kind)
    assert any(len(ids) == 1 for ids in found), "they hide each other"
    assert sorted(found[0]) == [1, 2]
    assert found[-1] == found[0][::-1], found


@pytest.mark.parametrize("kind", KINDS)
def test_ids_survive_people_who_meet_and_turn_back(kind):
    way = [*range(0, 67, 4), *range(60, -1, -4)]
    found = ids_by_left([[Drawn(130 - left, GREEN), Drawn(left, RED)] for left in way], kind)
    assert any(len(ids) == 1 for ids in found)
    assert found[-1] == found[0], found


@pytest.mark.parametrize("kind", KINDS)
def test_a_person_who_is_not_found_for_a_second_keeps_the_id(kind):
    scenes = [[Drawn(left, RED), Drawn(130, GREEN)] for left in range(0, 80, 2)]
    scenes[10:35] = [[people[1]] for people in scenes[10:35]]
    found = ids_by_left(scenes, kind)
    assert found[-1] == found[0]


def test_one_who_is_away_for_longer_is_a_new_person():
    gap = [[]] * 60
    assert ids_by_left([[Drawn(40)], *gap, [Drawn(40)]], "persons")[-1] == [2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_ends_the_ids(kind):
    assert ids_by_left([[Drawn(40)], [Drawn(40)], [Drawn(42)]], kind, cut=2) == [[1], [1], [2]]


def test_another_person_at_the_same_place_has_another_id():
    other = Drawn(40, body=(250, 250, 250), head=(20, 20, 20), legs=(250, 250, 0))
    assert ids_by_left([[Drawn(40)], [Drawn(40)], [other]], "persons") == [[1], [1], [2]]


def test_appearances_are_alike_under_noise_and_differ_between_clothes():
    noise = np.random.default_rng(0)
    first, second = parsing([Drawn(20), Drawn(100, GREEN)], "persons"), parsing([Drawn(22)], "persons")
    second.photo[:] = np.clip(second.photo + noise.normal(0, 10, second.photo.shape), 0, 255)
    person, other, again = (Appearance.of(result, one) for result in (first, second) for one in result.people)
    assert person.similarity(again) > 0.85
    assert person.similarity(other) < person.similarity(again) - 0.1
    assert Appearance({1: 1.0}, {1: np.ones((3, 8)) / 8}).similarity(Appearance({2: 1.0}, {})) is None


def test_boxes():
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (5, 5, 6, 6)) == 0
    assert covered((0, 0, 2, 2), (1, 0, 9, 9)) == 0.5
