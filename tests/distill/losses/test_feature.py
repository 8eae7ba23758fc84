"""Distances of features against loops, and their invariance."""

from typing import Literal

import numpy as np
import pytest
import torch

from m2fp_kd.distill.losses.feature import feature


def test_cosines_and_correlations_equal_numpys() -> None:
    torch.manual_seed(0)
    student, teacher, valid = torch.randn(2, 5, 4, 4), torch.randn(2, 5, 4, 4), torch.rand(2, 4, 4) > 0.3
    ours, theirs = (maps.permute(0, 2, 3, 1)[valid].double().numpy() for maps in (student, teacher))
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(ours, theirs, strict=True)]
    correlations = [np.corrcoef(ours[:, channel], theirs[:, channel])[0, 1] for channel in range(5)]
    assert feature(student, teacher, valid, "pixel").item() == pytest.approx(1 - np.mean(cosines), rel=1e-4)
    assert feature(student, teacher, valid, "channel").item() == pytest.approx(1 - np.mean(correlations), rel=1e-4)


@pytest.mark.parametrize(("along", "shape"), [("pixel", (2, 1, 4, 4)), ("channel", (1, 5, 1, 1))])
def test_the_scale_of_features_does_not_matter(along: Literal["pixel", "channel"], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    teacher, valid = torch.randn(2, 5, 4, 4), torch.ones(2, 4, 4, dtype=torch.bool)
    scaled = teacher * (0.5 + torch.rand(shape))
    assert feature(scaled, teacher, valid, along).item() == pytest.approx(0, abs=1e-5)
    assert feature(-scaled, teacher, valid, along).item() == pytest.approx(2, abs=1e-5)
