"""Scenes as functions of a seed: persons, backdrop, light and camera noise."""

import math
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from m2fp_kd.data.reading import Photo

from .backdrop import draw_backdrop, draw_foreground, draw_seat
from .canvas import Canvas, Developed, vignette
from .parts import PARTS
from .person import Person

OVERSAMPLING = 2
MOST_PERSONS = 11  # label codes PARTS * person + part fit into a byte


def draw_scene(seed: int, size: int | tuple[int, int], persons: tuple[int, int] = (1, 4)) -> Photo:
    """Draw a scene of cartoon people with CIHP's 20 parts.

    Args:
        seed: seed of all draws; equal arguments give equal arrays.
        size: side of a square, or (height, width), in pixels, at least 32.
        persons: fewest and most persons drawn, 0 <= fewest <= most <= 11. A person may end up hidden behind others.

    Returns:
        A photo with `parts`, `persons` and `instances` exact to the pixel. They are 0 at the same pixels; `persons`
        numbers the visible persons from 1, `instances` the pairs of person and part.

    Raises:
        ValueError: `size` or `persons` is out of range.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 32:
        raise ValueError(f"size {size} is too small to draw people: give at least 32 pixels per side")
    fewest, most = persons
    if not 0 <= fewest <= most <= MOST_PERSONS:
        raise ValueError(f"persons {persons}: give (fewest, most) with 0 <= fewest <= most <= {MOST_PERSONS}")
    rng, pixels = Random(seed), np.random.default_rng(seed)
    slope = rng.uniform(-0.9, 0.9)
    canvas = Canvas(OVERSAMPLING * height, OVERSAMPLING * width, (math.sin(slope), -math.cos(slope)))
    places, floor = _arrange(canvas, rng, rng.randint(fewest, most))
    draw_backdrop(canvas, rng, floor)
    _draw_persons(canvas, rng, places)
    draw_foreground(canvas, rng)
    developed = canvas.develop(OVERSAMPLING)
    codes = _majority(developed.codes)
    image = _expose(rng, pixels, developed, codes)
    parts, person_ids, instances = _number(codes)
    return Photo(name=f"{seed:08d}", image=image, parts=parts, persons=person_ids, instances=instances)


@dataclass(frozen=True)
class _Place:
    """Place of a person: pelvis and stature in canvas pixels."""

    pelvis: tuple[float, float]
    scale: float


def _arrange(canvas: Canvas, rng: Random, count: int) -> tuple[list[_Place], float]:
    """Draw places side by side with random overlaps, far ones first; nearer ones are larger and lower.

    Returns:
        The places and the height at which the floor meets the wall, at or above the feet.
    """
    view = rng.choices(("whole", "near", "far"), (45, 38, 17))[0]
    low, high = {"whole": (0.6, 0.95), "near": (0.95, 1.8), "far": (0.35, 0.6)}[view]
    base = canvas.height * rng.uniform(low, high)
    base = min(base, 1.9 * canvas.width / (1 + 0.45 * max(count - 1, 0)) ** 0.5)
    crown = canvas.height * (rng.uniform(0.03, 0.16) if view == "near" else rng.uniform(0.05, 0.3))
    slots = [(slot + 0.5 + rng.uniform(-0.38, 0.38)) / count for slot in range(count)]
    rng.shuffle(slots)
    sizes = sorted(base * rng.uniform(0.82, 1.15) for _ in range(count))
    places = [
        _Place((slot * canvas.width, crown + 0.5 * scale + 0.12 * (scale - base)), scale)
        for slot, scale in zip(slots, sizes, strict=True)
    ]
    floor = min(crown + base * rng.uniform(0.35, 0.96), 0.95 * canvas.height)
    return places, floor


def _draw_persons(canvas: Canvas, rng: Random, places: list[_Place]) -> None:
    pitch = rng.uniform(0.0, 0.35)
    for number, place in enumerate(places, start=1):
        person = Person(canvas, rng, number, place.pelvis, place.scale, _draw_yaw(rng), pitch)
        if person.figure.pose.name == "sitting":
            draw_seat(canvas, rng, place.pelvis, place.scale)
        person.draw()


def _draw_yaw(rng: Random) -> float:
    """Draw a yaw: mostly frontal and three-quarter views, some profiles, some from behind."""
    view = rng.choices(("front", "quarter", "profile", "behind"), (46, 26, 8, 20))[0]
    if view == "front":
        return rng.gauss(0, 0.16)
    if view == "quarter":
        return rng.choice((-1, 1)) * rng.uniform(0.35, 1.0)
    if view == "profile":
        return rng.choice((-1, 1)) * rng.uniform(1.1, 1.6)
    return math.pi + rng.gauss(0, 0.35)


def _smooth_noise(pixels: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw two octaves of smooth noise, about -0.3..0.3."""
    total = np.zeros((height, width), np.float32)
    for cells, strength in ((5, 0.1), (28, 0.07)):
        grid = pixels.standard_normal((cells, cells), np.float32) * np.float32(strength)
        total += np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BILINEAR))
    return np.clip(total, -0.4, 0.4)


def _majority(codes: np.ndarray) -> np.ndarray:
    """Return the commonest code of every 2 x 2 block; ties go to the top left one."""
    a, b, c, d = codes[::2, ::2], codes[::2, 1::2], codes[1::2, ::2], codes[1::2, 1::2]
    keep_a = (a == b) | (a == c) | (a == d)
    keep_b = (b == c) | (b == d)
    return np.where(keep_a, a, np.where(keep_b, b, np.where(c == d, c, a)))


def _expose(rng: Random, pixels: np.random.Generator, developed: Developed, codes: np.ndarray) -> np.ndarray:
    """Apply light, soft shadows, lens and sensor; return uint8 (h, w, 3)."""
    height, width = codes.shape
    light = developed.shade * (1 + developed.rough * _smooth_noise(pixels, height, width))
    light *= np.float32(rng.uniform(0.75, 1.4)) * (1 - np.float32(rng.uniform(0, 0.4)) * vignette(height, width))
    if rng.random() < 0.7:
        light *= _shadow(rng, codes)
    contrast = rng.uniform(0.75, 1.1)
    cast = np.asarray([contrast * (1 + rng.gauss(0, 0.06)) for _ in range(3)], np.float32)
    image = developed.colours * light[..., None]
    image *= cast
    image += pixels.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0.5, 9)) + np.float32(
        118 * (1 - contrast)
    )
    exposed = np.clip(image, 0, 255, out=image).astype(np.uint8)
    if rng.random() < 0.5:
        return np.array(Image.fromarray(exposed).filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9))))
    return exposed


def _shadow(rng: Random, codes: np.ndarray) -> np.ndarray:
    """Return the factor by which the persons' blurred, shifted silhouette darkens the background."""
    height, width = codes.shape
    silhouette = Image.fromarray((codes > 0).astype(np.uint8) * 255)
    shift = (rng.uniform(-0.06, 0.06) * width, rng.uniform(-0.01, 0.05) * height)
    moved = Image.new("L", silhouette.size)
    moved.paste(silhouette, (round(shift[0]), round(shift[1])))
    soft = np.asarray(moved.filter(ImageFilter.BoxBlur(0.03 * height)), np.float32)
    return 1 - (codes == 0) * soft * np.float32(rng.uniform(0.1, 0.5) / 255)


def _number(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split codes PARTS * person + part into part, person and instance maps, numbered without gaps."""
    present = np.flatnonzero(np.bincount(codes.ravel(), minlength=256))
    present = present[present > 0]
    instances = np.zeros(256, np.int32)
    instances[present] = np.arange(1, present.size + 1)
    persons = np.zeros(256, np.int32)
    persons[present] = 1 + np.searchsorted(np.unique(present // PARTS), present // PARTS)
    parts = (np.arange(256) % PARTS).astype(np.uint8)
    return np.take(parts, codes), np.take(persons, codes), np.take(instances, codes)
