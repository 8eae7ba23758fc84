"""Cross-image relations against a plain loop, and the pixels of a cell."""

import numpy as np
import pytest
import torch

from m2fp_kd.distill.losses.cross_image import cross_image


def slow(student: np.ndarray, teacher: np.ndarray, valid: np.ndarray, side: int, temperature: float) -> float:
    """Compute the loss for cells of side x side pixels, pair by pair and row by row."""

    def embeddings(features: np.ndarray, inside: np.ndarray) -> list[np.ndarray]:
        found = []
        for y in range(0, inside.shape[0], side):
            for x in range(0, inside.shape[1], side):
                window = inside[y : y + side, x : x + side]
                if window.any():
                    mean = features[:, y : y + side, x : x + side][:, window].mean(axis=1)
                    found.append(mean / np.linalg.norm(mean))
        return found

    def rows(ours: list[np.ndarray], theirs: list[np.ndarray]) -> np.ndarray:
        table = np.exp(np.array([[a @ b for b in theirs] for a in ours]) / temperature)
        return table / table.sum(axis=1, keepdims=True)

    divergences = []
    s, t = ([embeddings(*photo) for photo in zip(maps, valid, strict=True)] for maps in (student, teacher))
    for i in range(len(valid)):
        for j in range(len(valid)):
            p, q = rows(t[i], t[j]), rows(s[i], s[j])
            divergences += list((p * np.log(p / q)).sum(axis=1))
    return float(np.mean(divergences))


@pytest.mark.parametrize("cells", [6, 3, 2])
def test_the_loss_equals_that_of_a_plain_loop(cells: int) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 4, 6, 6), torch.randn(3, 7, 6, 6)
    valid = torch.rand(3, 6, 6) > 0.3
    valid[1, 3:] = False
    expected = slow(student.double().numpy(), teacher.double().numpy(), valid.numpy(), 6 // cells, 0.2)
    assert cross_image(student, teacher, valid, cells, 0.2).item() == pytest.approx(expected, rel=1e-4)


def test_scale_and_rotation_of_embeddings_do_not_matter() -> None:
    """Any rotation of the student's feature space has the same similarities."""
    torch.manual_seed(0)
    teacher, valid = torch.randn(2, 4, 6, 6), torch.ones(2, 6, 6, dtype=torch.bool)
    rotation, _ = torch.linalg.qr(torch.randn(4, 4))
    student = 3 * torch.einsum("dc,bchw->bdhw", rotation, teacher)
    assert cross_image(student, teacher, valid, cells=3).item() == pytest.approx(0, abs=1e-5)


def test_photos_are_compared_with_each_other() -> None:
    """Two photos of one colour each: only their comparison tells whether the colours are alike."""
    valid = torch.ones(2, 2, 2, dtype=torch.bool)
    alike, apart = torch.ones(2, 3, 2, 2), torch.ones(2, 3, 2, 2)
    apart[1, :, 1, 1] = -1
    single = cross_image(alike[:1], apart[:1], valid[:1])
    assert single.item() == pytest.approx(0, abs=1e-6)
    assert cross_image(alike, apart, valid).item() > 0.01
