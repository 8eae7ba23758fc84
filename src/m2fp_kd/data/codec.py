"""A teacher's part distributions, for a photo and for its mirror image, in a few kilobytes.

Distillation reads the distribution at a temperature near 4, where the many improbable parts together weigh as much as
the best one. Storing only the largest probabilities would lose that tail, so the whole distribution is compressed as an
image codec compresses images: take `softmax(log_parts / 4)`, mirror the second orientation back (left and right parts
swapped), form sum and difference of the two, transform blocks of 8 x 8 cells by the DCT, round to multiples of a step,
and compress the integers, frequency by frequency, with LZMA. The step is the largest that keeps the mean total
variation below a target. Cells whose most probable part would change are listed, and the decoder corrects them.
"""

import lzma
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

TEMPERATURE = 4
BLOCK = 8
STEPS = tuple(0.002 * 1.15**power for power in range(28))
"""Candidate steps in probability, 0.002 to 0.087."""
TARGETS = (0.015, 0.02, 0.025, 0.029)
"""Targets of the mean total variation at temperature 4: the first whose entry fits `BUDGET` is used, else the last."""
BUDGET = 12_000 * 8 / (2 * 20 * 64 * 64)
"""Bits per value: 12 kB for both orientations of 20 parts on a grid of 64 x 64."""
ROUNDING = 1 / 3
"""Offset before truncation; less than a half, because most coefficients of natural planes lie near zero."""
LOWEST = 1e-3
"""Smallest tempered probability after decoding; about 28 nats below a certain part."""
LEAD, RAISE = 1e-4, 2e-3
"""A best part leads by at least `LEAD`, so that rounding on another machine changes nothing; `RAISE` restores it."""

HEADER = struct.Struct("<3Hf")
LZMA = {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20, "lc": 0, "lp": 0, "pb": 0}
FILTERS = [LZMA | {"preset": 9 | lzma.PRESET_EXTREME}]
QUICK = [LZMA | {"preset": 1}]
"""Takes a sixteenth of the time."""
MOST_GAINED = 0.25
"""Share of a quick entry that `FILTERS` save at most; on answers of teachers they save 9 to 20 %."""


def encode(log_parts: np.ndarray, flip_permutation: Sequence[int] | None = None) -> bytes:
    """Compress log parts.

    Args:
        log_parts: float32 (2, P, h, w), log-probabilities of the photo and of the mirrored photo, each as the teacher
            gives it (the second neither mirrored nor swapped back).
        flip_permutation: permutation of the label set that swaps left and right parts; without it, entries are larger
            for label sets with left and right parts.

    Raises:
        ValueError: not two orientations, more than 255 parts, or values that are not finite.
    """
    if log_parts.ndim != 4 or len(log_parts) != 2 or not 2 <= log_parts.shape[1] <= 255:
        raise ValueError(f"log parts of two orientations are (2, P, h, w) with 2 <= P <= 255, not {log_parts.shape}")
    if not np.isfinite(log_parts).all():
        raise ValueError("log parts contain NaN or infinity; clamp the teacher's probabilities before the log")
    permutation = np.arange(log_parts.shape[1]) if flip_permutation is None else np.asarray(flip_permutation)
    tempered = _temper(log_parts)
    coefficients = _to_coefficients(_pair(tempered, permutation))
    budget = int(BUDGET * log_parts.size / 8)
    for target in TARGETS:
        head, stream = _quantise_to(target, tempered, coefficients, permutation)
        last = target == TARGETS[-1]
        if not last and (1 - MOST_GAINED) * len(_compressed(stream, QUICK)) > budget:
            continue  # without the slow compression, which cannot make it fit
        entry = head + _compressed(stream, FILTERS)
        if len(entry) <= budget:
            break
    return entry


def decode(entry: bytes) -> np.ndarray:
    """Decompress log-probabilities float32 (2, P, h, w), the inverse of `encode`.

    Raises:
        ValueError: the bytes are not an entry of this codec.
    """
    try:
        parts, height, width, step = HEADER.unpack_from(entry)
        permutation = np.frombuffer(entry, np.uint8, parts, HEADER.size)
        stream = lzma.decompress(entry[HEADER.size + parts :], lzma.FORMAT_RAW, filters=FILTERS)
        repairs = np.frombuffer(stream, np.uint8, 2 * height * width).reshape(2, height, width)
        levels = _unpack(stream[repairs.size :], parts, height, width)
        if not 0 < step <= 1 or repairs.max(initial=0) > parts:
            raise ValueError("a step or a part out of range")
    except (lzma.LZMAError, struct.error, ValueError) as error:
        raise ValueError(f"not an encoded part distribution ({error})") from error
    tempered = _repair(_reconstruct(levels, step, permutation, (height, width)), repairs)
    fourth = np.square(np.square(tempered))
    return np.log(fourth / fourth.sum(axis=1, keepdims=True))


def _compressed(stream: bytes, filters: Sequence[Mapping[str, Any]]) -> bytes:
    return lzma.compress(stream, lzma.FORMAT_RAW, filters=filters)


def _quantise_to(
    target: float, tempered: np.ndarray, coefficients: np.ndarray, permutation: np.ndarray
) -> tuple[bytes, bytes]:
    """Return head and stream of the coarsest entry within a total variation, or of the finest step if none is."""
    size = tempered.shape[-2:]
    best = tempered.argmax(axis=1)
    low, high = 0, len(STEPS) - 1
    while low < high:  # the error grows with the step
        middle = (low + high + 1) // 2
        decoded = _decoded(coefficients, STEPS[middle], permutation, best)[0]
        low, high = (middle, high) if _distance(decoded, tempered) <= target else (low, middle - 1)
    step = np.float32(STEPS[low]).item()
    _, levels, repairs = _decoded(coefficients, step, permutation, best)
    head = HEADER.pack(tempered.shape[1], *size, step) + permutation.astype(np.uint8).tobytes()
    return head, repairs.tobytes() + _pack(levels)


def _decoded(
    coefficients: np.ndarray, step: float, permutation: np.ndarray, best: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what the decoder will reconstruct with a step: tempered probabilities, levels, repairs."""
    scaled = coefficients / np.float32(step)
    levels = (np.sign(scaled) * np.floor(np.abs(scaled) + ROUNDING)).astype(np.int16)
    values = _reconstruct(levels, step, permutation, best.shape[-2:])
    repairs = _find_repairs(values, best)
    return _repair(values, repairs), levels, repairs


def _reconstruct(levels: np.ndarray, step: float, permutation: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    pair = _from_coefficients(levels.astype(np.float32) * np.float32(step))
    tempered = np.maximum(_unpair(pair[..., : size[0], : size[1]], permutation), np.float32(LOWEST))
    return tempered / tempered.sum(axis=1, keepdims=True)


def _find_repairs(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Return uint8 (2, h, w): 1 + the best part where decoding alone would not give it a safe lead, else 0."""
    others = values.copy()
    np.put_along_axis(others, best[:, None], 0, axis=1)
    lead = np.take_along_axis(values, best[:, None], axis=1)[:, 0] - others.max(axis=1)
    return np.where(lead < LEAD, best + 1, 0).astype(np.uint8)


def _repair(values: np.ndarray, repairs: np.ndarray) -> np.ndarray:
    orientation, row, column = np.nonzero(repairs)
    values[orientation, repairs[orientation, row, column] - 1, row, column] = values[orientation, :, row, column].max(
        axis=1
    ) + np.float32(RAISE)
    return values


def _temper(log_parts: np.ndarray) -> np.ndarray:
    odds = np.exp((log_parts - log_parts.max(axis=1, keepdims=True)) / np.float32(TEMPERATURE))
    return odds / odds.sum(axis=1, keepdims=True)


def _distance(tempered: np.ndarray, other: np.ndarray) -> float:
    return 0.5 * float(np.abs(tempered - other).sum(axis=1).mean())


def _pair(tempered: np.ndarray, permutation: np.ndarray) -> np.ndarray:
    """Return sum and difference (2, P, h, w) of the photo's planes and the mirrored photo's, mirrored back."""
    plain, mirrored = tempered[0], tempered[1, permutation, :, ::-1]
    return np.stack([plain + mirrored, plain - mirrored]) * np.float32(0.5**0.5)


def _unpair(pair: np.ndarray, permutation: np.ndarray) -> np.ndarray:
    plain, mirrored = (pair[0] + pair[1]) * np.float32(0.5**0.5), (pair[0] - pair[1]) * np.float32(0.5**0.5)
    return np.stack([plain, mirrored[np.argsort(permutation), :, ::-1]])


@cache
def _dct() -> np.ndarray:
    """Return the orthonormal DCT-II matrix (frequency, position)."""
    frequency, position = np.ogrid[:BLOCK, :BLOCK]
    matrix = np.sqrt(2 / BLOCK) * np.cos(np.pi * (2 * position + 1) * frequency / (2 * BLOCK))
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


def _to_coefficients(planes: np.ndarray) -> np.ndarray:
    """Transform (2, P, h, w) to blocks (2, P, rows, columns, 8, 8); the last blocks are padded with their edge."""
    short = [(0, -side % BLOCK) for side in planes.shape[-2:]]
    planes = np.pad(planes, [(0, 0), (0, 0), *short], mode="edge")
    pair, parts, height, width = planes.shape
    blocks = planes.reshape(pair, parts, height // BLOCK, BLOCK, width // BLOCK, BLOCK).swapaxes(3, 4)
    return _dct() @ blocks @ _dct().T


def _from_coefficients(coefficients: np.ndarray) -> np.ndarray:
    pair, parts, rows, columns = coefficients.shape[:4]
    blocks = _dct().T @ coefficients @ _dct()
    return blocks.swapaxes(3, 4).reshape(pair, parts, rows * BLOCK, columns * BLOCK)


@cache
def _frequency_order() -> np.ndarray:
    """Return indices into a raveled block, low frequencies first."""
    return np.argsort(np.add.outer(np.arange(BLOCK), np.arange(BLOCK)).ravel(), kind="stable")


def _pack(levels: np.ndarray) -> bytes:
    """Pack integers as all low bytes, then all high bytes, frequency by frequency, with the sign in the lowest bit."""
    planes = levels.reshape(*levels.shape[:4], -1)[..., _frequency_order()]
    planes = np.moveaxis(planes, -1, 0)
    unsigned = ((planes << 1) ^ (planes >> 15)).astype("<u2")
    return np.moveaxis(unsigned[..., None].view(np.uint8), -1, 0).tobytes()


def _unpack(stream: bytes, parts: int, height: int, width: int) -> np.ndarray:
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    low, high = np.frombuffer(stream, np.uint8).reshape(2, BLOCK * BLOCK, 2, parts, rows, columns)
    unsigned = low | (high.astype(np.uint16) << 8)
    planes = (unsigned >> 1).astype(np.int16) ^ -(unsigned & 1).astype(np.int16)
    levels = np.empty((2, parts, rows, columns, BLOCK * BLOCK), np.int16)
    levels[..., _frequency_order()] = np.moveaxis(planes, 0, -1)
    return levels.reshape(2, parts, rows, columns, BLOCK, BLOCK)
