"""The band around the edges of parts, and the two means."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from m2fp_kd.distill.losses.boundary import boundary, edge_band, labelled_or_likely
from m2fp_kd.distill.losses.kl import kl


def slow_band(parts: np.ndarray, valid: np.ndarray, width: int) -> np.ndarray:
    """Compute the band cell by cell and neighbour by neighbour."""
    band = np.zeros_like(valid)
    photos, height, width_ = parts.shape
    for n, y, x in np.ndindex(photos, height, width_):
        for v, u in np.ndindex(height, width_):
            near = max(abs(v - y), abs(u - x)) <= width
            if near and valid[n, y, x] and valid[n, v, u] and parts[n, v, u] != parts[n, y, x]:
                band[n, y, x] = True
    return band


@pytest.mark.parametrize("width", [1, 2])
def test_the_band_equals_that_of_a_plain_loop(width: int) -> None:
    rng = np.random.default_rng(0)
    parts = rng.integers(0, 3, (2, 3, 4)).repeat(3, axis=1).repeat(3, axis=2)
    valid = rng.random((2, 9, 12)) > 0.2
    found = edge_band(torch.from_numpy(parts), torch.from_numpy(valid), width)
    assert np.array_equal(found.numpy(), slow_band(parts, valid, width)) and 0 < found.sum() < valid.sum()


def test_the_border_of_the_photo_is_not_an_edge() -> None:
    parts = torch.zeros(1, 6, 6, dtype=torch.long)
    valid = torch.ones(1, 6, 6, dtype=torch.bool)
    parts[:, :, 4:], valid[:, :, 4:] = 3, False
    assert not edge_band(parts, valid, 2).any()
    assert edge_band(parts, torch.ones_like(valid), 1)[0, 0].tolist() == [False, False, False, True, True, False]


def test_edges_and_bodies_are_averaged_separately() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(1, 5, 4, 4), torch.randn(1, 5, 4, 4).log_softmax(1)
    valid, edges = torch.ones(1, 4, 4, dtype=torch.bool), torch.zeros(1, 4, 4, dtype=torch.bool)
    edges[:, 1], valid[:, 3] = True, False
    edge, body = (kl(student, teacher, mask, 2.0) for mask in (edges, valid & ~edges))
    assert_close(boundary(student, teacher, valid, edges, 2.0, 3.0, 0.5), 3 * edge + 0.5 * body)
    assert_close(boundary(student, teacher, valid, valid, 2.0), kl(student, teacher, valid, 2.0))


def test_unlabelled_cells_take_the_teachers_part() -> None:
    parts = torch.full((1, 8, 8), 255)
    parts[:, :4] = 2
    log_parts = torch.tensor([0.1, 0.7, 0.2]).log().view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert labelled_or_likely(parts, log_parts, 255).tolist() == [[[2, 2], [1, 1]]]
