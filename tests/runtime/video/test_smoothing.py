"""Smoothing: less flicker where nothing moves, no trails behind what moves, no ghosts after a cut."""

import numpy as np
import pytest

from m2fp_kd.runtime.part_map import part_map
from m2fp_kd.runtime.video.cuts import Cuts
from m2fp_kd.runtime.video.smoothing import Smoother
from tests.runtime.video.scenes import GREEN, LABELS, RED, SIZE, Drawn, answer, drawn

CELLS = (len(LABELS.parts), 40, 40)


def maps(answers, weight):
    """Part maps of answers that are smoothed as the command does, and whether each was a cut."""
    cuts, smoother = Cuts(), Smoother(weight)
    cut = [cuts(one.placed) for one in answers]
    smoothed = [smoother(*pair) for pair in zip(answers, cut, strict=True)]
    return np.array([part_map(one.outputs["part_logits"], one.placed.placement) for one in smoothed]), cut


@pytest.mark.parametrize(("weight", "most"), [(0.6, 0.3), (0.8, 0.1)])
def test_flicker_of_a_noisy_scene_falls(weight, most):
    noise = np.random.default_rng(0)
    photo, parts, _ = drawn([Drawn(60)])
    answers = []
    for _ in range(30):
        grain = np.clip(photo + noise.normal(0, 8, photo.shape), 0, 255).astype(np.uint8)
        answers.append(answer(grain, parts, sure=2.0, noise=noise.normal(0, 1, CELLS).astype(np.float32)))
    (plain, _), (smooth, cut) = maps(answers, 0.0), maps(answers, weight)
    flicker = [float((found[1:] != found[:-1]).mean()) for found in (plain, smooth)]
    assert flicker[0] > 0.05 and flicker[1] < most * flicker[0], flicker
    assert not any(cut)


@pytest.mark.parametrize("step", [2, 5, 11, 24])
def test_a_person_who_walks_leaves_no_parts_behind(step):
    scenes = [drawn([Drawn(left)]) for left in range(8, 130, step)]
    found, cut = maps([answer(photo, parts) for photo, parts, _ in scenes], 0.9)
    plain, _ = maps([answer(photo, parts) for photo, parts, _ in scenes], 0.0)
    assert not any(cut)
    for (_, parts, _), smooth, own in zip(scenes, found, plain, strict=True):
        left, right = np.flatnonzero(parts.any(axis=0))[[0, -1]]
        outside = np.ones(SIZE[1], bool)
        outside[max(0, left - 4) : right + 5] = False
        assert not smooth[:, outside].any(), "parts farther than a cell from the person"
        assert (smooth != own).mean() < 0.01


def test_a_change_of_mind_in_a_still_scene_is_followed():
    photo, parts, _ = drawn([Drawn(60)])
    found, _ = maps([answer(photo, parts)] * 5 + [answer(photo, np.zeros_like(parts))] * 5, 0.6)
    assert [bool(one.any()) for one in found] == [True] * 5 + [True, False, False, False, False]


@pytest.mark.parametrize("dark", [1, 4])
def test_the_frame_after_a_cut_is_the_unsmoothed_one(dark):
    before = drawn([Drawn(20, RED), Drawn(100, RED)])
    after = drawn([Drawn(60, GREEN)], wall=(200, 190, 160))
    answers = [answer(photo // dark, parts) for photo, parts, _ in [before] * 6 + [after] * 3]
    (found, cut), (plain, _) = maps(answers, 0.9), maps(answers, 0.0)
    assert cut == [False] * 6 + [True, False, False]
    np.testing.assert_array_equal(found[6], plain[6])
    smoother = Smoother(0.9)
    for one in answers[:6]:
        smoother(one, False)
    assert smoother(answers[6], True) is answers[6]


def test_the_answer_of_a_cell_that_moves_is_its_own():
    one, other = (answer(np.full((*SIZE, 3), grey, np.uint8), np.zeros(SIZE, np.uint8)) for grey in (90, 101))
    logits = np.random.default_rng(0).normal(0, 3, CELLS).astype(np.float32)
    other.outputs["part_logits"][:] = logits
    smoother = Smoother(0.9)
    smoother(one, False)
    found, content = smoother(other, False).outputs["part_logits"], SIZE[0] // 4 - 1
    own = logits - np.log(np.exp(logits).sum(axis=0))
    np.testing.assert_allclose(found[:, :content], own[:, :content], atol=1e-5)
