"""A canvas whose image and labels come from the same drawing.

Every shape is drawn once, without antialiasing, into a map of *inks*. An ink has a colour, a tone and a label code, so
the image and the labels are look-ups in the same map and cannot disagree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .patterns import Pattern

Point = tuple[float, float]
Colour = tuple[float, float, float]

TONES = (0.72, 1.0, 1.16)  # shadow, body, highlight: three consecutive inks of one material
TONE_UNIT = 128  # byte that encodes tone 1
PATTERN_STEPS = 63  # shades between the two colours of a pattern
_HALF_CIRCLE = [(math.cos(math.pi * k / 6), math.sin(math.pi * k / 6)) for k in range(7)]


class Canvas:
    """A map of inks and the table of their properties.

    Args:
        height: height in canvas pixels.
        width: width in canvas pixels.
        light: unit vector on the canvas that points towards the light.
    """

    def __init__(self, height: int, width: int, light: Point) -> None:
        self.height, self.width, self.light = height, width, light
        self._map = Image.new("I", (width, height), 0)
        self._draw = ImageDraw.Draw(self._map)
        self._codes: list[int] = []
        self._first: list[Colour] = []
        self._second: list[Colour] = []
        self._tone: list[float] = []
        self._rough: list[float] = []
        self._pattern_of: list[int] = []
        self._patterns: list[tuple[int, Pattern]] = []

    def material(
        self,
        code: int,
        colour: Colour,
        pattern: Pattern | None = None,
        second: Colour | None = None,
        rough: float = 0.5,
    ) -> int:
        """Add a material and return its shadow ink; body and highlight are the next two inks.

        Args:
            code: label code, 0 for background.
            colour: RGB, 0..255.
            pattern: share of `second` in the colour by position; None for a plain material.
            second: the pattern's other colour.
            rough: share of the scene's smooth noise that the material shows, 0..1.
        """
        if pattern is not None:
            self._patterns.append((len(self._codes), pattern))
        ink = len(self._codes)
        for tone in TONES:
            self._codes.append(code)
            self._first.append(colour)
            self._second.append(second or colour)
            self._tone.append(tone)
            self._rough.append(rough)
            self._pattern_of.append(len(self._patterns) if pattern is not None else 0)
        return ink

    def code(self, ink: int) -> int:
        """Return the label code of a material."""
        return self._codes[ink]

    def flat(self, ink: int, points: Sequence[Point], tone: int = 1) -> None:
        """Draw a polygon in one tone (0 shadow, 1 body, 2 highlight)."""
        self._draw.polygon(points, fill=ink + tone)

    def polygon(self, ink: int, points: Sequence[Point]) -> None:
        """Draw a shaded polygon with the shadow on the side away from the light."""
        self._draw.polygon(points, fill=ink)
        centre_x = sum(x for x, _ in points) / len(points)
        centre_y = sum(y for _, y in points) / len(points)
        reach = 0.07 * (max(x for x, _ in points) - min(x for x, _ in points))
        for tone, share, shift in ((1, 0.88, 0.9), (2, 0.5, 2.6)):
            x0 = centre_x * (1 - share) + self.light[0] * reach * shift
            y0 = centre_y * (1 - share) + self.light[1] * reach * shift
            self._draw.polygon([(x * share + x0, y * share + y0) for x, y in points], fill=ink + tone)

    def capsule(self, ink: int, start: Point, start_radius: float, end: Point, end_radius: float) -> None:
        """Draw a shaded tapered capsule between two circles."""
        self._draw.polygon(capsule_outline(start, start_radius, end, end_radius), fill=ink)
        radius = max(start_radius, end_radius)
        for tone, share, shift in ((1, 0.8, 0.2), (2, 0.38, 0.4)):
            if radius * share < 1:
                continue
            dx, dy = self.light[0] * radius * shift, self.light[1] * radius * shift
            outline = capsule_outline(
                (start[0] + dx, start[1] + dy), start_radius * share, (end[0] + dx, end[1] + dy), end_radius * share
            )
            self._draw.polygon(outline, fill=ink + tone)

    def ellipse(self, ink: int, centre: Point, radius_x: float, radius_y: float, shaded: bool = True) -> None:
        """Draw an axis-aligned ellipse, shaded like a ball or flat in the body tone."""
        layers = ((0, 1.0, 0.0), (1, 0.88, 0.1), (2, 0.42, 0.36)) if shaded else ((1, 1.0, 0.0),)
        for tone, share, shift in layers:
            x, y = centre[0] + self.light[0] * radius_x * shift, centre[1] + self.light[1] * radius_y * shift
            box = (x - radius_x * share, y - radius_y * share, x + radius_x * share, y + radius_y * share)
            self._draw.ellipse(box, fill=ink + tone)

    def develop(self, shrink: int) -> "Developed":
        """Look the inks up and shrink the colours by averaging blocks of `shrink` x `shrink` pixels."""
        inks = np.asarray(self._map)
        colours = np.zeros((len(self._first), 4), np.uint8)
        colours[:, :3] = np.clip(self._first, 0, 255)
        # With four bytes per colour, one look-up of 32-bit words serves all three channels.
        picture = np.take(colours.view(np.uint32).ravel(), inks).view(np.uint8).reshape(-1, 4)
        self._paint_patterns(inks, picture)
        drawn = Image.frombuffer("RGBX", (self.width, self.height), picture, "raw", "RGBX", 0, 1).convert("RGB")
        tone = np.take(np.asarray([TONE_UNIT * tone for tone in self._tone], np.uint8), inks)
        shade = Image.fromarray(tone).reduce(shrink)
        # Blurring only the tones rounds the bodies and leaves colour edges sharp.
        soft = shade.filter(ImageFilter.BoxBlur(max(1, shade.height // 110)))
        rough = np.take(np.asarray(self._rough, np.float32), inks[::shrink, ::shrink])
        return Developed(
            np.asarray(drawn.reduce(shrink), np.float32),
            np.asarray(soft, np.float32) / np.float32(TONE_UNIT),
            rough,
            np.take(np.asarray(self._codes, np.uint8), inks),
        )

    def _paint_patterns(self, inks: np.ndarray, picture: np.ndarray) -> None:
        """Mix the second colours into `picture`, uint8 (pixels, 4), as the patterns prescribe."""
        owner = np.take(np.asarray(self._pattern_of, np.uint8), inks).ravel()
        for number, (ink, pattern) in enumerate(self._patterns, start=1):
            pixels = np.flatnonzero(owner == number)
            if not pixels.size:
                continue
            y, x = np.divmod(pixels.astype(np.int32), np.int32(self.width))
            share = pattern(x.astype(np.float32), y.astype(np.float32))
            steps = np.linspace(self._first[ink], self._second[ink], PATTERN_STEPS + 1)
            colours = np.zeros((PATTERN_STEPS + 1, 4), np.uint8)
            colours[:, :3] = np.clip(steps, 0, 255)
            words = colours.view(np.uint32).ravel()
            picture.view(np.uint32).ravel()[pixels] = np.take(
                words, (share * np.float32(PATTERN_STEPS)).astype(np.intp)
            )


@dataclass(frozen=True)
class Developed:
    """The look-ups of a canvas.

    Attributes:
        colours: float32 (h, w, 3), shrunk, unlit, 0..255.
        shade: float32 (h, w), light on the shrunk image, about 1.
        rough: float32 (h, w), share of the scene's smooth noise to show.
        codes: uint8 (height, width), label codes, not shrunk.
    """

    colours: np.ndarray
    shade: np.ndarray
    rough: np.ndarray
    codes: np.ndarray


def capsule_outline(start: Point, start_radius: float, end: Point, end_radius: float) -> list[Point]:
    """Return the outline of a tapered capsule: two half circles joined by straight sides."""
    (x0, y0), (x1, y1) = start, end
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    ax, ay, bx, by = start_radius * ux, start_radius * uy, end_radius * ux, end_radius * uy
    behind = [(x0 - sin * ax + cos * ay, y0 - sin * ay - cos * ax) for cos, sin in _HALF_CIRCLE]
    ahead = [(x1 + sin * bx - cos * by, y1 + sin * by + cos * bx) for cos, sin in _HALF_CIRCLE]
    return behind + ahead


def hull(points: Sequence[Point]) -> list[Point]:
    """Return the convex hull (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    chains = []
    for sequence in (ordered, ordered[::-1]):
        chain: list[Point] = []
        for p in sequence:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        chains.append(chain[:-1])
    return chains[0] + chains[1]


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


@lru_cache(maxsize=8)
def vignette(height: int, width: int) -> np.ndarray:
    """Return the squared distance from the centre, 0 there and 1 in the corners, float32 (height, width)."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    return (x * x + y * y) / 2
