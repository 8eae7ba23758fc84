"""DIST against NumPy's correlation, and its invariance."""

import numpy as np
import pytest
import torch

from m2fp_kd.distill.losses.dist import correlation, dist


def test_correlation_equals_numpys() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 7, 30))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(first, second, strict=True)]
    found = correlation(torch.tensor(first), torch.tensor(second))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_constant_values_have_no_correlation() -> None:
    constant = torch.full((5,), 0.2, requires_grad=True)
    found = correlation(constant, torch.arange(5.0))
    found.backward()
    assert found.item() == pytest.approx(0) and constant.grad is not None and constant.grad.isfinite().all()


def softmax(values: np.ndarray) -> np.ndarray:
    return np.exp(values) / np.exp(values).sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(("temperature", "between", "within"), [(1.0, 1.0, 1.0), (4.0, 1.0, 0.0), (2.0, 0.5, 3.0)])
def test_the_loss_equals_numpys(temperature: float, between: float, within: float) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 4, 4), torch.randn(2, 5, 4, 4).mul(2).log_softmax(1)
    teacher[:, 3] = -20  # nowhere the most probable part
    valid = torch.rand(2, 4, 4) > 0.3
    ours, theirs = (
        softmax(maps.double().permute(0, 2, 3, 1)[valid].numpy() / temperature) for maps in (student, teacher)
    )
    rows = np.mean([1 - np.corrcoef(q, p)[0, 1] for q, p in zip(ours, theirs, strict=True)])
    columns = np.mean([1 - np.corrcoef(ours[:, part], theirs[:, part])[0, 1] for part in (0, 1, 2, 4)])
    found = dist(student, teacher, valid, temperature, between, within)
    assert found.item() == pytest.approx(between * rows + within * columns, rel=1e-4)


def test_a_student_that_is_proportionally_less_certain_costs_nothing() -> None:
    """A mixture with the uniform distribution is a different distribution with correlation 1."""
    torch.manual_seed(0)
    teacher = torch.randn(1, 5, 4, 4).mul(2).log_softmax(1)
    flatter = (0.5 * teacher.exp() + 0.5 / 5).log()
    assert dist(flatter, teacher, torch.ones(1, 4, 4, dtype=torch.bool)).item() == pytest.approx(0, abs=1e-5)


def test_the_opposite_ranking_costs_two_per_term() -> None:
    probability = torch.tensor([0.7, 0.2, 0.6, 0.4])
    teacher = torch.stack([probability, 1 - probability]).log().view(1, 2, 2, 2)
    valid = torch.ones(1, 2, 2, dtype=torch.bool)
    assert dist(teacher.flip(1), teacher, valid, 1.0, 1.0, 0.0).item() == pytest.approx(2, rel=1e-4)
    assert dist(teacher.flip(1), teacher, valid, 1.0, 0.0, 1.0).item() == pytest.approx(2, rel=1e-4)
