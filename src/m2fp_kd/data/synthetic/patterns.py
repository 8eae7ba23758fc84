"""Textile and wall patterns: functions of the pixel position with values in 0..1."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np


def _cycle(u: np.ndarray) -> np.ndarray:
    return u - np.floor(u)


def _stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _cycle(u) < 0.5


def _pinstripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _cycle(u) < 0.22


def _checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.float32(0.5) * ((_cycle(u) < 0.5).astype(np.float32) + (_cycle(v) < 0.5))


def _tartan(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(_cycle(u) < 0.18, _cycle(v) < 0.18)


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    u = u + 0.5 * (np.floor(v) % 2)
    return (_cycle(u) - 0.5) ** 2 + (_cycle(v) - 0.5) ** 2 < 0.09


def _blotches(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sin(3.1 * u + 1.7 * np.sin(2.3 * v)) + np.sin(2.7 * v + 1.9 * np.sin(1.9 * u)) > 0.3


def _gradient(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.clip(0.5 + np.float32(0.15) * v, 0, 1)


def _bricks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    u = 0.5 * u + 0.5 * (np.floor(v) % 2)
    return np.maximum(_cycle(v) < 0.15, _cycle(u) < 0.08)


TEXTILES = (_stripes, _pinstripes, _checks, _tartan, _dots, _blotches, _gradient)
WALLS = (_stripes, _pinstripes, _checks, _tartan, _bricks, _bricks, _blotches)


@dataclass(frozen=True)
class Pattern:
    """A pattern placed on the canvas: origin and period in canvas pixels, angle in radians."""

    field: Callable[[np.ndarray, np.ndarray], np.ndarray]
    origin: tuple[float, float]
    period: float
    angle: float

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the share of the second colour at the pixels, 0..1."""
        cos, sin = math.cos(self.angle) / self.period, math.sin(self.angle) / self.period
        x, y = x - self.origin[0], y - self.origin[1]
        return self.field(x * cos + y * sin, y * cos - x * sin)


def textile(rng: Random, origin: tuple[float, float], scale: float) -> Pattern:
    """Draw a garment's pattern for a person who is `scale` canvas pixels tall."""
    field = rng.choice(TEXTILES)
    period = scale * (rng.uniform(0.06, 0.09) if field is _gradient else rng.uniform(0.02, 0.07))
    angle = rng.choice((0.0, 0.0, math.pi / 2, math.pi / 2, rng.uniform(0, math.pi)))
    return Pattern(field, origin, max(period, 3.0), 0.0 if field is _gradient else angle)


def gradient(origin: tuple[float, float], length: float, angle: float) -> Pattern:
    """Return a smooth change of colour over `length` canvas pixels around `origin`."""
    return Pattern(_gradient, origin, 0.15 * length, angle)


def wall(rng: Random, extent: float) -> Pattern:
    """Draw a pattern for walls, floors and furniture on a canvas `extent` pixels wide."""
    angle = rng.choice((0.0, 0.0, math.pi / 2, rng.uniform(0, math.pi)))
    return Pattern(
        rng.choice(WALLS), (rng.uniform(0, extent), rng.uniform(0, extent)), extent * rng.uniform(0.025, 0.12), angle
    )
