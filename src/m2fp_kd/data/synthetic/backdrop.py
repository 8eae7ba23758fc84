"""Everything that is not a person, labelled as background: a room or street behind, clutter in front."""

import math
from random import Random

from .canvas import Canvas, Point
from .patterns import gradient, wall
from .wardrobe import cloth_colour, jitter, mix, skin_colour


def _ink(canvas: Canvas, rng: Random, patterned: float = 0.3) -> int:
    """Add a background material, sometimes in a skin colour, so that colour alone does not reveal a person."""
    colour = jitter(rng, skin_colour(rng), 10) if rng.random() < 0.12 else cloth_colour(rng)
    pattern = wall(rng, canvas.width) if rng.random() < patterned else None
    second = jitter(rng, colour, 50) if rng.random() < 0.6 else cloth_colour(rng)
    return canvas.material(0, colour, pattern, second, rough=1.0)


def _box(x: float, y: float, width: float, height: float) -> list[Point]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def draw_backdrop(canvas: Canvas, rng: Random, horizon: float) -> None:
    """Draw a wall or sky, a floor below `horizon`, and some objects. The first material fills the canvas."""
    width, height = canvas.width, canvas.height
    first, second = cloth_colour(rng), cloth_colour(rng)
    second = mix(first, second, rng.uniform(0.3, 1.0))
    plain = gradient((rng.uniform(0, width), rng.uniform(0, height)), max(width, height), rng.uniform(0, math.pi))
    canvas.material(0, first, plain if rng.random() < 0.7 else wall(rng, width), second, rough=1.0)
    kind = rng.choice(("room", "street", "park", "clutter"))
    if kind != "clutter":
        floor = _ink(canvas, rng)
        canvas.flat(floor, _box(0, horizon, width, height))
        canvas.flat(floor, _box(0, horizon, width, height * rng.uniform(0.005, 0.03)), tone=0)
    things = {"room": _furniture, "street": _building, "park": _plant, "clutter": _shape}
    for _ in range(rng.randint(3, 9)):
        thing = things[kind] if rng.random() < 0.65 else rng.choice((_furniture, _building, _plant, _shape, _shape))
        thing(canvas, rng, rng.uniform(-0.1, 1.0) * width, horizon)


def _furniture(canvas: Canvas, rng: Random, x: float, horizon: float) -> None:
    """Draw a picture, window or shelf on the wall, or a cabinet on the floor."""
    ink, width, height = _ink(canvas, rng), canvas.width, canvas.height
    wide, tall = width * rng.uniform(0.08, 0.35), height * rng.uniform(0.08, 0.35)
    y = horizon - tall if rng.random() < 0.5 else rng.uniform(-0.05, 0.7) * horizon
    canvas.polygon(ink, _box(x, y, wide, tall))
    inner = _ink(canvas, rng)
    columns, rows = rng.randint(1, 5), rng.randint(1, 3)
    for column in range(columns):
        for row in range(rows):
            cell = (x + wide * (column + 0.12) / columns, y + tall * (row + 0.15) / rows)
            canvas.flat(inner, _box(*cell, 0.76 * wide / columns, 0.7 * tall / rows), tone=rng.randint(0, 2))


def _building(canvas: Canvas, rng: Random, x: float, horizon: float) -> None:
    """Draw a tall block with windows, or a post."""
    ink, width = _ink(canvas, rng, 0.5), canvas.width
    if rng.random() < 0.3:
        radius = width * rng.uniform(0.006, 0.025)
        canvas.capsule(ink, (x, horizon * rng.uniform(-0.1, 0.5)), radius, (x, horizon), radius * 1.2)
        canvas.ellipse(ink, (x, horizon * rng.uniform(0.0, 0.5)), radius * 3, radius * 2)
        return
    wide, top = width * rng.uniform(0.12, 0.4), horizon * rng.uniform(-0.1, 0.6)
    canvas.polygon(ink, _box(x, top, wide, horizon - top))
    glass = _ink(canvas, rng, 0.1)
    columns, rows = rng.randint(2, 4), rng.randint(2, 4)
    for cell in range(columns * rows):
        column, row = cell % columns, cell // columns
        corner = (x + wide * (column + 0.25) / columns, top + (horizon - top) * (row + 0.2) / rows)
        canvas.flat(glass, _box(*corner, 0.5 * wide / columns, 0.5 * (horizon - top) / rows), tone=rng.randint(0, 2))


def _plant(canvas: Canvas, rng: Random, x: float, ground: float) -> None:
    """Draw a trunk with a crown of blobs."""
    width, height = canvas.width, canvas.height
    green = (rng.uniform(30, 120), rng.uniform(80, 170), rng.uniform(20, 80))
    leaf = canvas.material(0, green, wall(rng, width / 3), jitter(rng, green, 40), rough=1.0)
    trunk = canvas.material(0, jitter(rng, (96, 68, 46), 25), rough=1.0)
    size = height * rng.uniform(0.05, 0.16)
    top = ground - size * rng.uniform(1.0, 4.0)
    canvas.capsule(trunk, (x, ground), size * 0.16, (x + rng.uniform(-0.3, 0.3) * size, top), size * 0.1)
    for _ in range(rng.randint(3, 6)):
        centre = (x + rng.uniform(-1.1, 1.1) * size, top + rng.uniform(-0.9, 0.6) * size)
        canvas.ellipse(leaf, centre, size * rng.uniform(0.4, 0.9), size * rng.uniform(0.3, 0.8))


def _shape(canvas: Canvas, rng: Random, x: float, _: float) -> None:
    """Draw an arbitrary polygon, ball or bar; a bar may look like a limb."""
    ink, width, height = _ink(canvas, rng), canvas.width, canvas.height
    y, size = rng.uniform(0, 1) * height, width * rng.uniform(0.03, 0.18)
    kind = rng.randrange(3)
    if kind == 0:
        canvas.ellipse(ink, (x, y), size * rng.uniform(0.4, 1), size * rng.uniform(0.4, 1))
    elif kind == 1:
        end = (x + rng.gauss(0, 1.5) * size, y + rng.gauss(0, 1.5) * size)
        canvas.capsule(ink, (x, y), size * rng.uniform(0.08, 0.3), end, size * rng.uniform(0.08, 0.3))
    else:
        angles = sorted(rng.uniform(0, 2 * math.pi) for _ in range(rng.randint(3, 6)))
        canvas.polygon(ink, [(x + size * math.cos(a), y + size * math.sin(a)) for a in angles])


def draw_seat(canvas: Canvas, rng: Random, pelvis: Point, scale: float) -> None:
    """Draw a chair, stool or bench under a sitting person."""
    ink = _ink(canvas, rng)
    x, y = pelvis
    wide, seat = scale * rng.uniform(0.13, 0.3), y + 0.055 * scale
    if rng.random() < 0.6:
        canvas.polygon(ink, _box(x - wide, y - scale * rng.uniform(0.1, 0.34), 2 * wide, seat - y + 0.12 * scale))
    for leg in (-0.9, 0.9):
        canvas.capsule(ink, (x + leg * wide, seat), 0.014 * scale, (x + leg * wide, seat + 0.27 * scale), 0.012 * scale)
    canvas.polygon(ink, _box(x - wide, seat, 2 * wide, 0.045 * scale))


def draw_foreground(canvas: Canvas, rng: Random) -> None:
    """Draw, in two of five scenes, a table, a pole, rails or leaves in front of everybody."""
    width, height = canvas.width, canvas.height
    if rng.random() < 0.6:
        return
    kind, x = rng.randrange(4), rng.uniform(0, 1) * width
    if kind == 0:
        top, wide = height * rng.uniform(0.72, 0.95), width * rng.uniform(0.3, 1.1)
        ink = _ink(canvas, rng)
        canvas.polygon(ink, _box(x - wide / 2, top, wide, height))
        canvas.flat(ink, _box(x - wide / 2, top, wide, 0.02 * height), tone=2)
        canvas.polygon(_ink(canvas, rng), _box(x - 0.02 * width, top - 0.07 * height, 0.05 * width, 0.08 * height))
    elif kind == 1:
        radius = width * rng.uniform(0.008, 0.03)
        canvas.capsule(_ink(canvas, rng), (x, -0.1 * height), radius, (x, 1.1 * height), radius)
    elif kind == 2:
        ink, y = _ink(canvas, rng), height * rng.uniform(0.6, 0.9)
        for step in range(3):
            level = y + step * 0.08 * height
            canvas.capsule(ink, (-5, level), 0.008 * width, (width + 5, level), 0.008 * width)
    else:
        _plant(canvas, rng, rng.choice((0.0, 1.0)) * width, 1.05 * height)
