"""Bilinear resizing against Pillow's, and its algebra."""

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.runtime.resize import bilinear


def resize(values: np.ndarray, height: int, width: int) -> np.ndarray:
    return bilinear(values.shape[-2], height).rows(bilinear(values.shape[-1], width).columns(values))


@pytest.mark.parametrize("size", [(32, 40), (33, 97), (8, 10), (9, 11)])
def test_enlarging_equals_pillow(size):
    values = np.random.default_rng(0).normal(size=(8, 10)).astype(np.float32)
    expected = np.asarray(Image.fromarray(values).resize(size[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_allclose(resize(values, *size), expected, atol=1e-5)


def test_halving_takes_means_of_neighbours():
    values = np.arange(8, dtype=np.float32)
    np.testing.assert_allclose(bilinear(8, 4).columns(values), [0.5, 2.5, 4.5, 6.5])


def test_shrinking_does_not_antialias():
    values = np.zeros(9, np.float32)
    values[0] = 1
    np.testing.assert_allclose(bilinear(9, 3).columns(values), [0, 0, 0])


@pytest.mark.parametrize(("source", "target"), [(1, 5), (5, 1), (7, 7), (3, 8)])
def test_weights_sum_to_one_and_a_constant_stays(source, target):
    taps = bilinear(source, target)
    np.testing.assert_allclose(taps.weight.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(taps.columns(np.full((2, source), 3, np.float32)), 3, rtol=1e-6)


def test_one_after_the_other_equals_both_at_once():
    values = np.random.default_rng(1).normal(size=(3, 16)).astype(np.float32)
    first, second = bilinear(16, 64)[:50], bilinear(50, 71)
    np.testing.assert_allclose(first.then(second).columns(values), second.columns(first.columns(values)), atol=1e-6)


def test_same_size_changes_nothing():
    values = np.random.default_rng(2).normal(size=(4, 6, 5)).astype(np.float32)
    np.testing.assert_array_equal(resize(values, 6, 5), values)
