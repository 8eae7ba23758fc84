"""Bridges conserve probability and keep left and right apart."""

import numpy as np
import pytest
import torch

from m2fp_kd.data.bridging import LOWEST, cross
from m2fp_kd.labels import LABEL_SETS, Bridge, LabelSet, find_bridge

TEACHER = LabelSet("teacher", ("background", "hat", "arm"), ((0, 0, 0), (9, 9, 9), (99, 99, 99)))
PARTS = ("background", "head", "lower-arm", "upper-arm", "bag")
STUDENT = LabelSet("student", PARTS, tuple((n, n, n) for n in range(5)))
SHARES = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0.75, 0.25, 0]], np.float32)
BRIDGE = Bridge(TEACHER, STUDENT, SHARES)


def random_log_parts(parts: int, seed: int = 0) -> torch.Tensor:
    return (3 * torch.randn(2, parts, 5, 7, generator=torch.Generator().manual_seed(seed))).log_softmax(dim=1)


def test_each_cell_is_the_distribution_times_the_matrix() -> None:
    cell = torch.tensor([0.5, 0.3, 0.2]).log().reshape(1, 3, 1, 1)
    found = cross(cell, BRIDGE).exp().flatten()
    assert found.tolist() == pytest.approx([0.5, 0.3, 0.15, 0.05, LOWEST], abs=1e-6)


def test_the_whole_distribution_is_moved_and_not_only_the_most_probable_part() -> None:
    """Hat and hair at 0.3 each lose to background at 0.4; together they are a head at 0.6."""
    cihp, pascal = LABEL_SETS["cihp"], LABEL_SETS["pascal_person_part"]
    bridge = find_bridge(cihp, pascal)
    assert bridge is not None
    mass = torch.zeros(1, 20, 1, 1)
    mass[0, [cihp.parts.index(part) for part in ("background", "hat", "hair")], 0, 0] = torch.tensor([0.4, 0.3, 0.3])
    found = cross(mass.clamp(min=1e-12).log(), bridge)
    assert pascal.parts[int(found.argmax())] == "head" and found.exp().max().item() == pytest.approx(0.6, abs=1e-5)


@pytest.mark.parametrize("student", ["pascal_person_part", "lip", "atr"])
def test_the_result_is_a_distribution_and_flips_like_its_source(student: str) -> None:
    cihp, labels = LABEL_SETS["cihp"], LABEL_SETS[student]
    bridge = find_bridge(cihp, labels)
    assert bridge is not None
    log_parts = random_log_parts(20)
    found = cross(log_parts, bridge)
    assert found.shape == (2, labels.num_parts, 5, 7)
    assert torch.allclose(found.exp().sum(dim=1), torch.ones(2, 5, 7), atol=1e-6)
    merged = torch.einsum("nphw,pq->nqhw", log_parts.exp(), torch.from_numpy(bridge.shares))
    assert torch.allclose(found.exp(), merged, atol=1e-6)
    mirrored = cross(log_parts[:, list(cihp.flip_permutation)].flip(-1), bridge)
    assert torch.allclose(mirrored, found[:, list(labels.flip_permutation)].flip(-1), atol=1e-5)


def test_parts_without_a_counterpart_stay_finite_and_pass_gradients() -> None:
    sure = torch.tensor([0.0, -200.0, -200.0]).reshape(1, 3, 1, 1).requires_grad_()
    found = cross(sure, BRIDGE)
    assert torch.isfinite(found).all()
    found.sum().backward()
    assert sure.grad is not None and torch.isfinite(sure.grad).all()
