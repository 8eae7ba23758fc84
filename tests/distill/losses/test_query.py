"""Distances of queries against loops, and the pairing of queries."""

from itertools import permutations

import numpy as np
import pytest
import torch

from m2fp_kd.distill.losses.query import query, query_distances
from m2fp_kd.models.outputs import M2FPOutput

CLASSES, SIZE = 4, (5, 6)
VALID = torch.ones(2, *SIZE, dtype=torch.bool)
SURE = 1e4


def queries(count: int, seed: int, photos: int = 2) -> M2FPOutput:
    generator = torch.Generator().manual_seed(seed)
    return M2FPOutput(
        2 * torch.randn(photos, count, CLASSES + 1, generator=generator),
        2 * torch.randn(photos, count, *SIZE, generator=generator),
    )


def shuffled(output: M2FPOutput, order: list[int]) -> M2FPOutput:
    return M2FPOutput(output.class_logits[:, order], output.mask_logits[:, order])


def slow_distances(student: M2FPOutput, teacher: M2FPOutput, valid: torch.Tensor) -> np.ndarray:
    """Compute class, mask and dice distance (3, B, Q, R), pair by pair."""
    photos, ours, theirs = len(valid), student.class_logits.shape[1], teacher.class_logits.shape[1]
    found = np.zeros((3, photos, ours, theirs))
    for n, q, r in np.ndindex(photos, ours, theirs):
        p_q, p_r = (
            np.exp(values) / np.exp(values).sum()
            for values in (student.class_logits[n, q].double().numpy(), teacher.class_logits[n, r].double().numpy())
        )
        s, m = (
            1 / (1 + np.exp(-values[valid[n]].double().numpy()))
            for values in (student.mask_logits[n, q], teacher.mask_logits[n, r])
        )
        found[0, n, q, r] = (p_r * np.log(p_r / p_q)).sum()
        found[1, n, q, r] = (m * np.log(m / s) + (1 - m) * np.log((1 - m) / (1 - s))).mean()
        found[2, n, q, r] = 1 - (2 * (m * s).mean() + 1e-4) / ((m**2).mean() + (s**2).mean() + 1e-4)
    return found


def some_valid() -> torch.Tensor:
    valid = VALID.clone()
    valid[0, :, 4:], valid[1, 3:] = False, False
    return valid


def test_distances_equal_those_of_a_plain_loop() -> None:
    student, teacher = queries(4, 0), queries(6, 1)
    found = np.stack([distance.numpy() for distance in query_distances(student, teacher, some_valid())])
    np.testing.assert_allclose(found, slow_distances(student, teacher, some_valid()), atol=2e-5)


def test_no_other_assignment_is_cheaper() -> None:
    student, teacher, weights = queries(4, 0), queries(4, 1), (2.0, 5.0, 5.0)
    distances = np.tensordot(weights, slow_distances(student, teacher, some_valid()), axes=1)
    certainty = 1 - teacher.class_logits.softmax(-1)[..., -1].double().numpy()
    paid, total = 0.0, 0.0
    for table, sure in zip(distances, certainty, strict=True):
        best = min(permutations(range(4)), key=lambda order: sum(table[order[r], r] for r in range(4)))
        paid += sum(sure[r] * table[best[r], r] for r in range(4))
        total += sure.sum()
    assert query(student, teacher, some_valid(), False, *weights).item() == pytest.approx(paid / total, rel=1e-4)


@pytest.mark.parametrize("order", [[2, 0, 3, 1], [3, 2, 1, 0]])
def test_another_order_of_queries_costs_nothing_unless_paired_one_to_one(order: list[int]) -> None:
    teacher = queries(4, 0)
    student = shuffled(teacher, order)
    assert query(student, teacher, VALID).item() == pytest.approx(0, abs=1e-4)
    assert query(student, teacher, VALID, one_to_one=True).item() > 1
    assert query(teacher, teacher, VALID, one_to_one=True).item() == pytest.approx(0, abs=1e-4)


def test_fewer_queries_learn_the_teachers_most_certain_ones() -> None:
    teacher = queries(6, 0, photos=1)
    teacher.class_logits[0, :, -1] = torch.tensor([SURE, -SURE, SURE, -SURE, -SURE, SURE])
    student = shuffled(teacher, [4, 1, 3])
    assert query(student, teacher, VALID[:1]).item() == pytest.approx(0, abs=1e-4)


def test_the_teachers_queries_without_an_object_are_not_copied() -> None:
    student, teacher = queries(3, 0, photos=1), queries(3, 1, photos=1)
    teacher.class_logits[0, 1, -1] = SURE
    leaves = [tensor.requires_grad_() for tensor in (student.class_logits, student.mask_logits)]
    query(student, teacher, VALID[:1], one_to_one=True).backward()
    for leaf in leaves:
        assert leaf.grad is not None
        moved = leaf.grad[0].flatten(1).abs().sum(1)
        assert moved[1] == 0 and (moved[[0, 2]] > 0).all()


def test_empty_masks_are_equal() -> None:
    empty = M2FPOutput(torch.zeros(1, 1, CLASSES + 1), torch.full((1, 1, *SIZE), -60.0))
    assert query(empty, empty, VALID[:1]).item() == pytest.approx(0, abs=1e-6)


def test_queries_that_do_not_fit_are_errors() -> None:
    student = queries(4, 0)
    other = M2FPOutput(torch.zeros(2, 4, CLASSES + 2), student.mask_logits)
    with pytest.raises(ValueError, match="have 4 classes, the teacher's 5; use a teacher of the data's label set"):
        query(student, other, VALID)
    with pytest.raises(ValueError, match=r"4 queries of the student and 6 of the teacher.*student\.network\.queries=6"):
        query(student, queries(6, 1), VALID, one_to_one=True)


def test_nan_is_named() -> None:
    student = queries(4, 0)
    student.mask_logits[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="logits"):
        query(student, queries(4, 1), VALID)
