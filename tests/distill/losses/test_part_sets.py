"""Losses on the labels of several data sets, against closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F

from m2fp_kd.distill.losses.ce import ce
from m2fp_kd.distill.losses.jaccard import jaccard, jaccard_of_sets
from m2fp_kd.distill.losses.part_sets import possible_parts

# Parts 0..3; label 0 is part 0, label 1 can be parts 1 or 2, label 2 parts 2 or 3.
SETS = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], dtype=torch.bool)
COUNTS_AS = torch.tensor([0, 1, 1, 2])


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels_of(*shape: int, most: int, seed: int = 1) -> torch.Tensor:
    labels = torch.randint(0, most, shape, generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    labels[:, 0] = 255
    return labels


def test_one_part_per_label_is_the_ordinary_cross_entropy_and_gradient() -> None:
    logits = [drawn(2, 4, 5, 5).requires_grad_() for _ in range(2)]
    parts = labels_of(2, 20, 20, most=4)
    order = torch.tensor([2, 0, 3, 1])  # label l is part order[l]
    sets = F.one_hot(order, 4).bool().expand(2, 4, 4)
    labels = torch.where(parts == 255, parts, order.argsort()[parts.long().clamp(max=3)])
    losses = [ce(logits[0], parts, 255), ce(logits[1], labels, 255, sets)]
    sum(losses).backward()
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(logits[0].grad, logits[1].grad)


def test_the_cross_entropy_of_a_set_and_its_gradient() -> None:
    logits = torch.tensor([0.3, 1.2, -0.7, 2.0])[None, :, None, None].requires_grad_()
    loss = ce(logits, torch.full((1, 1, 1), 1), 255, SETS[None])
    p = logits.detach().flatten().softmax(0)
    assert loss.item() == pytest.approx(-math.log(p[1] + p[2]), rel=1e-6)
    loss.backward()
    share = torch.tensor([0, p[1], p[2], 0]) / (p[1] + p[2])
    torch.testing.assert_close(logits.grad.flatten(), p - share)


def test_a_label_that_can_be_everything_costs_nothing() -> None:
    logits = (5 * drawn(1, 4, 3, 3)).requires_grad_()
    loss = ce(logits, torch.zeros(1, 12, 12), 255, torch.ones(1, 1, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6) and logits.grad.abs().max() < 1e-6


def test_ignored_pixels_count_for_nothing() -> None:
    logits, labels = drawn(1, 4, 2, 2).requires_grad_(), torch.full((1, 2, 2), 255)
    assert ce(logits, labels, 255, SETS[None]) == 0
    labels[0, 0, 0] = 2
    loss = ce(logits, labels, 255, SETS[None])
    loss.backward()
    torch.testing.assert_close(loss, -(logits[0, 2:, 0, 0].logsumexp(0) - logits[0, :, 0, 0].logsumexp(0)))
    assert logits.grad[..., 1:].abs().max() == 0 and logits.grad[0, :, 0, 0].abs().min() > 0


def test_every_photo_meets_the_sets_of_its_own_source() -> None:
    logits, labels = drawn(2, 4, 4, 4), torch.ones(2, 16, 16, dtype=torch.uint8)
    other = torch.zeros_like(SETS)
    other[1, 0] = True
    both = ce(logits, labels, 255, torch.stack([SETS, other]))
    alone = [ce(logits[:1], labels[:1], 255, SETS[None]), ce(logits[1:], labels[1:], 255, other[None])]
    torch.testing.assert_close(both, sum(alone) / 2)
    assert possible_parts(labels, torch.stack([SETS, other]), 255)[:, :, 0, 0].tolist() == [
        [False, True, True, False], [True, False, False, False],
    ]  # fmt: skip


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[[[400.0]], [[-400.0]], [[-300.0]], [[0.0]]]]).requires_grad_()
    loss = ce(logits, torch.ones(1, 1, 1), 255, SETS[None])
    loss.backward()
    assert loss.item() == pytest.approx(700) and torch.isfinite(logits.grad).all()


def test_jaccard_of_one_part_per_label_is_the_ordinary_one() -> None:
    logits = [drawn(3, 4, 6, 6).requires_grad_() for _ in range(2)]
    parts = labels_of(3, 24, 24, most=3)
    same = torch.eye(4, dtype=torch.bool).expand(3, 4, 4), torch.arange(4).expand(3, 4)
    losses = jaccard(logits[0], parts, 255), jaccard_of_sets(logits[1], parts, 255, torch.zeros(3), *same)
    sum(losses).backward()
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(logits[0].grad, logits[1].grad)


def test_jaccard_of_sets_by_hand() -> None:
    """Two pixels: one of label 1, one of label 2, each with probability spread over the four parts."""
    p = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.25, 0.05, 0.3, 0.4]])
    logits = p.log().T[None, :, None]
    loss = jaccard_of_sets(logits, torch.tensor([[[1, 2]]]), 255, torch.zeros(1), SETS[None], COUNTS_AS[None])
    first = (0.2 + 0.3) / (1 + 0.05)  # part 1 of the second pixel counts as label 1; part 2 can be its label 2
    second = (0.3 + 0.4) / (1 + 0.4)
    assert loss.item() == pytest.approx(1 - (first + second) / 2, rel=1e-6)


def test_jaccard_weights_the_labels_of_all_sources_alike() -> None:
    logits, labels = drawn(3, 4, 4, 4), labels_of(3, 16, 16, most=3)
    sets, counts_as = SETS.expand(3, 3, 4), COUNTS_AS.expand(3, 4)
    together = jaccard_of_sets(logits, labels, 255, torch.tensor([0, 0, 1]), sets, counts_as)
    first = jaccard_of_sets(logits[:2], labels[:2], 255, torch.zeros(2), sets[:2], counts_as[:2])
    second = jaccard_of_sets(logits[2:], labels[2:], 255, torch.zeros(1), sets[2:], counts_as[2:])
    torch.testing.assert_close(together, (first + second) / 2)  # each has all three labels


def test_jaccard_leaves_out_labels_that_no_part_counts_as() -> None:
    """Label 2 has a recall only; the probability of part 3 in the first pixel counts as label 1."""
    p = torch.tensor([[0.4, 0.2, 0.3, 0.1], [0.25, 0.05, 0.3, 0.4]])
    counts_as = torch.tensor([[0, 1, 1, 1]])
    loss = jaccard_of_sets(
        p.log().T[None, :, None], torch.tensor([[[0, 2]]]), 255, torch.zeros(1), SETS[None], counts_as
    )
    assert loss.item() == pytest.approx(1 - 0.4 / (1 + 0.25), rel=1e-6)


def test_jaccard_without_labels_is_zero() -> None:
    logits = drawn(1, 4, 2, 2).requires_grad_()
    loss = jaccard_of_sets(logits, torch.full((1, 2, 2), 255), 255, torch.zeros(1), SETS[None], COUNTS_AS[None])
    loss.backward()
    assert loss == 0 and logits.grad.abs().max() == 0


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_logits_give_the_loss_of_their_values_in_float32(autocast: bool) -> None:
    logits, labels = drawn(2, 4, 8, 8).bfloat16(), labels_of(2, 32, 32, most=3)
    sets, counts_as, source = SETS.expand(2, 3, 4), COUNTS_AS.expand(2, 4), torch.tensor([0, 1])
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = ce(logits, labels, 255, sets), jaccard_of_sets(logits, labels, 255, source, sets, counts_as)
    exact = ce(logits.float(), labels, 255, sets), jaccard_of_sets(logits.float(), labels, 255, source, sets, counts_as)
    for loss, expected in zip(losses, exact, strict=True):
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected)
