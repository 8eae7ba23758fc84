"""The divergence from a source's own teacher, against closed forms."""

import math

import pytest
import torch

from m2fp_kd.distill.losses.kl import kl
from m2fp_kd.distill.losses.part_sets import in_labels
from m2fp_kd.distill.losses.source_kl import SourceKl
from m2fp_kd.distill.teachers.source_teachers import FIELD, SourceTarget
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.outputs import StudentOutput

MERGED = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)
SHARED = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], dtype=torch.bool)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pixel(*probabilities: float) -> torch.Tensor:
    return torch.tensor(probabilities).log()[None, :, None, None]


def test_without_shared_parts_a_label_has_the_sum_of_its_parts() -> None:
    logits = drawn(2, 4, 3, 3)
    p = logits.softmax(1)
    expected = torch.stack([p[:, 0], p[:, 1] + p[:, 2], p[:, 3]], dim=1)
    torch.testing.assert_close(in_labels(logits, drawn(2, 3, 3, 3, seed=1).log_softmax(1), MERGED).exp(), expected)


def test_a_shared_part_is_divided_as_the_teacher_divides() -> None:
    found = in_labels(pixel(0.1, 0.2, 0.6, 0.1), pixel(0.2, 0.6, 0.2), SHARED).exp().flatten()
    torch.testing.assert_close(found, torch.tensor([0.1, 0.2 + 0.6 * 0.75, 0.1 + 0.6 * 0.25]))


def test_a_certain_teacher_gives_the_cross_entropy_of_a_set() -> None:
    log_labels = pixel(1e-20, 1 - 1e-20, 1e-20)
    found = in_labels(pixel(0.1, 0.2, 0.6, 0.1), log_labels, SHARED)
    assert found[0, 1].item() == pytest.approx(math.log(0.2 + 0.6), rel=1e-5)
    assert found.exp().sum().item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("autocast", [False, True])
def test_the_division_is_a_distribution_in_bfloat16_too(autocast: bool) -> None:
    logits, log_labels = drawn(2, 4, 3, 3).bfloat16(), (20 * drawn(2, 3, 3, 3)).log_softmax(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = in_labels(logits, log_labels, SHARED)
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(2, 3, 3))
    torch.testing.assert_close(found, in_labels(logits.float(), log_labels, SHARED))


def batch(targets: list[SourceTarget], sets: torch.Tensor, photos: int) -> dict[str, object]:
    valid = torch.ones(photos, 3, 3, dtype=torch.bool)
    return {FIELD: targets, "sets": sets.expand(photos, *sets.shape), "valid": valid}


def test_one_part_per_label_is_the_ordinary_kl_and_gradient() -> None:
    logits = [drawn(2, 4, 3, 3).requires_grad_() for _ in range(2)]
    log_parts, term = drawn(2, 4, 3, 3, seed=1).log_softmax(1), SourceKl(LABEL_SETS["cihp"], temperature=4)
    own = batch([SourceTarget([0, 1], log_parts)], torch.eye(4, dtype=torch.bool), 2)
    losses = term(StudentOutput(logits[0]), own, None), kl(logits[1], log_parts, own["valid"], 4)
    sum(losses).backward()
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(logits[0].grad, logits[1].grad)


def test_photos_of_other_sources_and_pixels_outside_the_photo_count_for_nothing() -> None:
    logits = drawn(3, 4, 3, 3).requires_grad_()
    own = batch([SourceTarget([1], drawn(1, 3, 3, 3).log_softmax(1))], SHARED, 3)
    own["valid"][:, 0] = False  # type: ignore[index]
    SourceKl(LABEL_SETS["cihp"])(StudentOutput(logits), own, None).backward()
    assert logits.grad[[0, 2]].abs().max() == 0 == logits.grad[1, :, 0].abs().max()
    assert logits.grad[1, :, 1:].abs().min() > 0


def test_a_student_that_agrees_costs_nothing_at_any_temperature() -> None:
    logits = drawn(1, 4, 3, 3)
    agrees = in_labels(logits, torch.zeros(1, 3, 3, 3), MERGED)
    term = SourceKl(LABEL_SETS["cihp"], temperature=4)
    assert term(StudentOutput(logits), batch([SourceTarget([0], agrees)], MERGED, 1), None).abs() < 1e-5


def test_without_a_photo_of_a_taught_source_the_term_is_zero() -> None:
    assert SourceKl(LABEL_SETS["cihp"])(StudentOutput(drawn(1, 4, 3, 3)), batch([], SHARED, 1), None) == 0
