"""The head: hair, face, sunglasses and hat."""

import math
from random import Random

from .anatomy import Figure
from .canvas import Canvas, Point, hull
from .wardrobe import BLACK, Outfit, jitter, mix


class Head:
    """The head of one person; draw it with `behind`, then `front`.

    Args:
        canvas: canvas to draw on.
        rng: source of the random details.
        figure: the posed body.
        outfit: clothes of the person.
        inks: materials by name: hair, face, hat, sunglasses.
    """

    def __init__(self, canvas: Canvas, rng: Random, figure: Figure, outfit: Outfit, inks: dict[str, int]) -> None:
        self.canvas, self.rng, self.figure, self.outfit, self.inks = canvas, rng, figure, outfit, inks
        self.x, self.y = figure.head
        size = figure.scale * figure.build.head
        self.width, self.height = 0.052 * size, 0.07 * size
        self.turn = figure.sin
        self.seen = figure.cos > -0.35  # some of the face is visible

    def _spot(self, x: float, y: float) -> Point:
        """Convert head radii, x across and y up, to a canvas position."""
        return (self.x + x * self.width, self.y - y * self.height)

    def behind(self) -> None:
        """Draw hair that hangs behind the neck and shoulders of a person seen from the front."""
        if self.seen:
            self._mane()

    def front(self) -> None:
        """Draw the head itself and everything on it."""
        style, hair = self.outfit.hair_style, self.inks["hair"]
        if style == "bald":
            self.canvas.ellipse(self.inks["face"], (self.x, self.y), self.width, self.height)
        else:
            grow = 1.42 if style == "afro" else 1.13
            self.canvas.ellipse(
                hair, self._spot(-0.12 * self.turn, 0.12 * grow), self.width * grow, self.height * (grow - 0.06)
            )
            if style == "bun":
                self.canvas.ellipse(hair, self._spot(-0.8 * self.turn, 1.15), 0.5 * self.width, 0.42 * self.height)
        if self.seen:
            self._face()
        else:
            self._ears()
            self._mane()
        self._hat()

    def _mane(self) -> None:
        style = self.outfit.hair_style
        if style in ("bald", "short", "afro", "bun"):
            return
        reach = {"bob": -1.15, "long": -2.3, "tail": -2.0}[style]
        back = -0.35 * self.turn
        if style == "tail":
            side = -1.1 * self.turn if abs(self.turn) > 0.3 else (0.0 if not self.seen else 0.9)
            points = (self._spot(side, 0.5), self._spot(side * 1.25, reach + 0.4))
            self.canvas.capsule(self.inks["hair"], points[0], 0.36 * self.width, points[1], 0.2 * self.width)
            return
        spread = 1.12 if style == "bob" else 1.2
        outline = [
            (-1.0, 0.5),
            (-spread, -0.3),
            (-spread, reach),
            (-0.5, reach - 0.15),
            (0.5, reach - 0.12),
            (spread, reach),
        ]
        outline += [(spread, -0.3), (1.0, 0.5)]
        self.canvas.polygon(self.inks["hair"], [self._spot(x + back, y) for x, y in outline])

    def _ears(self) -> None:
        for side in (-1, 1):
            self.canvas.ellipse(self.inks["face"], self._spot(side * 1.08, -0.1), 0.16 * self.width, 0.2 * self.height)

    def _face(self) -> None:
        face, fringe = self.inks["face"], self.rng.uniform(0.35, 0.62)
        narrow = 0.9 - 0.2 * abs(self.turn)
        shift = 0.34 * self.turn
        if self.outfit.hair_style not in ("long", "bob") or self.rng.random() < 0.4:
            ear = -1.0 if self.turn > 0 else 1.0
            for side in (ear,) if abs(self.turn) > 0.35 else (-1.0, 1.0):
                reach = 0.98 - 0.75 * abs(self.turn)
                self.canvas.ellipse(face, self._spot(side * reach, -0.08), 0.17 * self.width, 0.22 * self.height)
        outline = []
        for step in range(20):
            angle = math.pi * step / 10
            x, y = math.sin(angle) * narrow, math.cos(angle)
            jaw = 1 - 0.14 * max(0.0, -y) ** 2
            outline.append(self._spot(x * jaw + shift, y * (fringe + 0.12) if y > 0 else y * 1.02))
        self.canvas.polygon(face, outline)
        if abs(self.turn) > 0.8:  # a nose on the profile
            tip = math.copysign(narrow + 0.16, self.turn)
            root = math.copysign(narrow - 0.12, self.turn)
            self.canvas.flat(
                face, [self._spot(root + shift, 0.15), self._spot(tip + shift, -0.22), self._spot(root + shift, -0.32)]
            )
        self._features(shift + 0.3 * self.turn)

    def _features(self, shift: float) -> None:
        rng, spacing = self.rng, 0.36 * max(self.figure.cos, 0.0)
        brow = mix(self.outfit.hair, BLACK, 0.3)
        feature = self.canvas.material(self._code, brow)
        lips = self.canvas.material(self._code, jitter(rng, mix(self.outfit.skin, BLACK, 0.28), 14))
        sides = (-1, 1) if spacing > 0.1 else (0,)
        for side in sides:
            x = shift + side * spacing
            self.canvas.flat(
                feature, [self._spot(x + dx, y) for dx, y in ((-0.17, 0.22), (0.17, 0.22), (0.17, 0.3), (-0.17, 0.3))]
            )
            self.canvas.ellipse(feature, self._spot(x, 0.04), 0.1 * self.width, 0.08 * self.height, shaded=False)
        wide, gap = rng.uniform(0.18, 0.32), rng.uniform(0.04, 0.1)
        outline = ((-wide, -0.52), (0, -0.52 + gap / 3), (wide, -0.52), (0, -0.56 - gap))
        self.canvas.flat(lips, [self._spot(x * (1 - 0.5 * abs(self.turn)) + shift, y) for x, y in outline])
        nose = [self._spot(shift + x, y) for x, y in ((-0.09, -0.28), (0.09, -0.28), (0.03, -0.02))]
        self.canvas.flat(self.inks["face"], nose, tone=0)
        if self.outfit.sunglasses:
            self._sunglasses(shift, max(spacing, 0.12))

    def _sunglasses(self, shift: float, spacing: float) -> None:
        ink, rng = self.inks["sunglasses"], self.rng
        radius, tall, square = min(0.36, spacing + 0.12), rng.uniform(0.19, 0.28), rng.random() < 0.5
        for side in (-1, 1):
            x = shift + side * (spacing + 0.03)
            if square:
                outline = ((-radius, tall), (radius, tall), (0.85 * radius, -tall), (-0.85 * radius, -tall))
                self.canvas.polygon(ink, [self._spot(x + dx, 0.06 + dy) for dx, dy in outline])
            else:
                self.canvas.ellipse(ink, self._spot(x, 0.06), radius * self.width, tall * self.height)
        edge = 0.88 - 0.2 * abs(self.turn)
        left, right = shift - spacing, shift + spacing
        if self.turn < 0.5:
            right = edge + 0.34 * self.turn
        if self.turn > -0.5:
            left = -edge + 0.34 * self.turn
        self.canvas.flat(
            ink, [self._spot(left, 0.16), self._spot(right, 0.16), self._spot(right, 0.06), self._spot(left, 0.06)]
        )

    def _hat(self) -> None:
        kind, ink = self.outfit.hat, self.inks["hat"]
        if kind == "none":
            return
        line, top = (0.42, 1.5) if kind == "beanie" else (0.5, 1.35)
        line += 0.0 if self.seen else -0.12
        wide = 1.2
        dome = [(-wide, line)]
        for step in range(9):
            angle = math.pi * (1 - step / 8)
            dome.append((wide * math.cos(angle), line + (top - line) * math.sin(angle)))
        self.canvas.polygon(ink, [self._spot(x - 0.06 * self.turn, y) for x, y in dome])
        if kind == "beanie":
            band = (
                (-wide - 0.05, line - 0.02),
                (wide + 0.05, line - 0.02),
                (wide + 0.05, line + 0.24),
                (-wide - 0.05, line + 0.24),
            )
            self.canvas.polygon(ink, [self._spot(x, y) for x, y in band])
            if self.rng.random() < 0.4:
                self.canvas.ellipse(ink, self._spot(0, top + 0.1), 0.3 * self.width, 0.24 * self.height)
        elif kind == "brim":
            self.canvas.ellipse(ink, self._spot(0, line), 1.95 * self.width, 0.27 * self.height)
        elif self.seen:
            near, far = 0.95 * self.turn, 1.9 * self.turn
            half = 0.95 - 0.5 * abs(self.turn)
            peak = [
                (near - half, line + 0.1),
                (near + half, line + 0.1),
                (far * 0.7 + half, line - 0.16),
                (far * 0.7 - half, line - 0.16),
            ]
            self.canvas.polygon(ink, hull([self._spot(x, y) for x, y in peak]))

    @property
    def _code(self) -> int:
        return self.canvas.code(self.inks["face"])
