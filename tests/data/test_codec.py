"""The codec of part distributions: size, fidelity, most probable part, and broken bytes."""

import lzma
from collections.abc import Callable

import numpy as np
import pytest

from m2fp_kd.data import codec
from m2fp_kd.data.codec import decode, encode
from m2fp_kd.labels import LABEL_SETS

FLIP = LABEL_SETS["cihp"].flip_permutation


def total_variation(log_parts: np.ndarray, other: np.ndarray) -> float:
    """Return the mean total variation between two arrays (N, P, h, w) of log parts at temperature 4."""
    tempered, others = (np.exp(values / 4) for values in (log_parts.astype(float), other.astype(float)))
    difference = tempered / tempered.sum(axis=1, keepdims=True) - others / others.sum(axis=1, keepdims=True)
    return float(np.abs(difference).sum(axis=1).mean() / 2)


@pytest.mark.parametrize("noise", [0.2, 0.5, 1.0])
def test_size_and_fidelity_on_scenes(noise: float, scene_log_parts: Callable[..., np.ndarray]) -> None:
    sizes, distances = [], []
    for seed in range(3):
        log_parts = scene_log_parts(seed, FLIP, noise)
        entry = encode(log_parts, FLIP)
        decoded = decode(entry)
        sizes.append(len(entry))
        distances.append(total_variation(log_parts, decoded))
        assert decoded.shape == log_parts.shape and decoded.dtype == np.float32
        assert np.array_equal(decoded.argmax(axis=1), log_parts.argmax(axis=1))
        assert np.allclose(np.exp(decoded).sum(axis=1), 1, atol=1e-5)
    assert max(sizes) <= 12_000 and max(distances) <= 0.03


def test_the_flip_permutation_makes_entries_smaller_but_is_not_needed(
    scene_log_parts: Callable[..., np.ndarray],
) -> None:
    log_parts = scene_log_parts(7, FLIP)
    with_swap, without = encode(log_parts, FLIP), encode(log_parts)
    assert len(with_swap) < len(without)
    assert total_variation(decode(without), log_parts) <= 0.03


def test_the_total_variation_of_pure_noise_is_kept() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 7, 24, 40)).astype(np.float32) * 3
    log_parts = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    decoded = decode(encode(log_parts))
    assert total_variation(decoded, log_parts) <= 0.03
    assert np.array_equal(decoded.argmax(axis=1), log_parts.argmax(axis=1))


@pytest.mark.parametrize("shape", [(2, 2, 8, 8), (2, 59, 13, 21), (2, 255, 3, 1)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    logits = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    log_parts = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    decoded = decode(encode(log_parts))
    assert decoded.shape == shape and np.array_equal(decoded.argmax(axis=1), log_parts.argmax(axis=1))
    assert total_variation(decoded, log_parts) <= 0.03


def test_certainty_survives() -> None:
    log_parts = np.full((2, 20, 16, 16), -80.0, np.float32)
    log_parts[:, 3] = 0
    decoded = decode(encode(log_parts, FLIP))
    assert (decoded[:, 3] > -1e-6).all() and np.isfinite(decoded).all() and decoded[:, 4].max() < -20


def test_encoding_is_deterministic(scene_log_parts: Callable[..., np.ndarray]) -> None:
    log_parts = scene_log_parts(3, FLIP, size=32)
    assert encode(log_parts, FLIP) == encode(log_parts.copy(), FLIP)


def test_wrong_shapes_and_values_are_refused() -> None:
    with pytest.raises(ValueError, match="two orientations"):
        encode(np.zeros((1, 20, 8, 8), np.float32))
    with pytest.raises(ValueError, match="NaN or infinity"):
        encode(np.full((2, 3, 8, 8), -np.inf, np.float32))


@pytest.mark.parametrize("cut", [0, 5, 20, -1, -100])
def test_truncated_bytes_are_refused(cut: int, scene_log_parts: Callable[..., np.ndarray]) -> None:
    with pytest.raises(ValueError, match="not an encoded part distribution"):
        decode(encode(scene_log_parts(3, FLIP, size=32), FLIP)[:cut])


@pytest.mark.parametrize("step", [float("nan"), float("inf"), 0.0, -0.01])
def test_a_step_out_of_range_is_refused(step: float) -> None:
    """Its log parts would not be finite, or be those of another distribution."""
    entry = encode(np.full((2, 2, 8, 8), np.log(0.5), np.float32))
    with pytest.raises(ValueError, match=r"not an encoded part distribution .a step or a part out of range"):
        decode(codec.HEADER.pack(2, 8, 8, step) + entry[codec.HEADER.size :])


def test_a_part_out_of_range_is_refused() -> None:
    entry = encode(np.full((2, 3, 8, 8), np.log(1 / 3), np.float32))
    head = codec.HEADER.size + 3
    stream = bytearray(lzma.decompress(entry[head:], lzma.FORMAT_RAW, filters=codec.FILTERS))
    stream[0] = 4  # the first cell's most probable part, from 1
    with pytest.raises(ValueError, match=r"not an encoded part distribution .a step or a part out of range"):
        decode(entry[:head] + lzma.compress(stream, lzma.FORMAT_RAW, filters=codec.FILTERS))


def test_entries_that_cannot_fit_are_left_out_without_a_change(
    scene_log_parts: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = [scene_log_parts(seed, FLIP, noise=1.0, size=32) for seed in range(3)]
    quick, calls = [encode(target) for target in targets], []
    monkeypatch.setattr(codec, "MOST_GAINED", 1.0)  # compress every candidate slowly
    compressed = codec._compressed
    monkeypatch.setattr(codec, "_compressed", lambda *given: calls.append(given) or compressed(*given))
    assert [encode(target) for target in targets] == quick
    assert len(calls) > 2 * len(targets), "some candidates do not fit"
