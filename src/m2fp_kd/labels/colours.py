"""Colours for parts, perceptually as far apart as possible."""

from functools import cache

import numpy as np

PAPER = (224, 224, 224)
"""Palette colour of the ignored label, light grey."""


@cache
def distinct_colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return colours for `count` parts, RGB 0..255: black for background, then each as far as possible from all others.

    Distances are Euclidean in Oklab (https://bottosson.github.io/posts/oklab), which follows perception; very dark,
    very pale, greyish and glaring colours are excluded.
    """
    levels = np.linspace(0, 255, 11).round()
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    points = _oklab(candidates)
    lightness, chroma = points[:, 0], np.hypot(points[:, 1], points[:, 2])
    pleasant = (lightness > 0.4) & (lightness < 0.93) & (chroma > 0.07) & (chroma < 0.22)
    candidates, points = candidates[pleasant], points[pleasant]
    chosen = [(0, 0, 0)]
    nearest = np.linalg.norm(points - _oklab(np.array(PAPER, float)), axis=1)
    while len(chosen) < count:
        best = int(nearest.argmax())
        red, green, blue = candidates[best].astype(int).tolist()
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[best], axis=1))
    return tuple(chosen)


def _oklab(colours: np.ndarray) -> np.ndarray:
    """Convert sRGB colours (..., 3) in 0..255 to Oklab (lightness, a, b)."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(linear @ _TO_CONES.T)
    return cones @ _TO_OKLAB.T


_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
