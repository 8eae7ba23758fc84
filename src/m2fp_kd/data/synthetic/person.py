"""One dressed person, drawn from the farthest limb to the nearest."""

from random import Random

from .anatomy import LEFT, SIDES, Figure, draw_build, draw_pose
from .canvas import Canvas, Colour, Point, hull
from .head import Head
from .parts import PARTS, Part
from .patterns import Pattern, textile
from .wardrobe import Outfit, cloth_colour, draw_outfit, jitter

GARMENTS = {
    "hat": Part.HAT,
    "glove": Part.GLOVE,
    "top": Part.UPPER_CLOTHES,
    "dress": Part.DRESS,
    "coat": Part.COAT,
    "sock": Part.SOCKS,
    "trousers": Part.PANTS,
    "scarf": Part.SCARF,
    "skirt": Part.SKIRT,
}
PATTERNED = {"top": 0.5, "dress": 0.55, "skirt": 0.4, "scarf": 0.5, "trousers": 0.12}  # share of garments; others 0.15


class Person:
    """A person to draw.

    Args:
        canvas: canvas to draw on.
        rng: source of body, pose and clothes.
        number: person id, 1 or more.
        origin: canvas position of the pelvis.
        scale: canvas pixels per stature.
        yaw: radians, 0 frontal, pi from behind.
        pitch: radians that the camera looks down.
    """

    def __init__(self, canvas: Canvas, rng: Random, number: int, origin: Point, scale: float, yaw: float, pitch: float):
        self.canvas, self.rng, self.number, self.scale = canvas, rng, number, scale
        self.figure = Figure(draw_build(rng), draw_pose(rng), origin, scale, yaw, pitch)
        self.outfit: Outfit = draw_outfit(rng)
        self.limb = scale * self.figure.build.limb
        self.inks = self._materials(origin)

    def _materials(self, origin: Point) -> dict[str, int]:
        rng, outfit = self.rng, self.outfit
        inks = {
            "face": self._material(Part.FACE, outfit.skin),
            "torso": self._material(Part.TORSO_SKIN, jitter(rng, outfit.skin, 5)),
            "hair": self._material(Part.HAIR, outfit.hair, rough=0.9),
            "sunglasses": self._material(
                Part.SUNGLASSES, jitter(rng, rng.choice(((18, 18, 22), (40, 24, 18), (20, 30, 60))), 10)
            ),
        }
        for side in SIDES:
            left = side == LEFT
            inks[f"arm{side}"] = self._material(Part.LEFT_ARM if left else Part.RIGHT_ARM, outfit.skin)
            inks[f"leg{side}"] = self._material(Part.LEFT_LEG if left else Part.RIGHT_LEG, outfit.skin)
        shoe = cloth_colour(rng)
        for side in SIDES:
            inks[f"shoe{side}"] = self._material(Part.LEFT_SHOE if side == LEFT else Part.RIGHT_SHOE, shoe)
        for name, part in GARMENTS.items():
            pattern = textile(rng, origin, self.scale) if rng.random() < PATTERNED.get(name, 0.15) else None
            inks[name] = self._material(part, cloth_colour(rng), pattern, cloth_colour(rng), rough=0.9)
        return inks

    def _material(
        self,
        part: Part,
        colour: Colour,
        pattern: Pattern | None = None,
        second: Colour | None = None,
        rough: float = 0.4,
    ) -> int:
        return self.canvas.material(PARTS * self.number + part, colour, pattern, second, rough)

    def draw(self) -> None:
        """Draw the person, farthest parts first."""
        figure, outfit = self.figure, self.outfit
        head = Head(self.canvas, self.rng, figure, outfit, self.inks)
        head.behind()
        arms = sorted(SIDES, key=self._arm_depth)
        far = [side for side in arms if self._arm_depth(side) < -0.025]
        for side in far:
            self._arm(side)
        sitting = figure.pose.name in ("sitting", "crouching") and figure.cos > 0
        if sitting:
            self._trunk()
        for side in sorted(SIDES, key=lambda s: figure.depth(figure.joints["knee", s])):
            self._leg(side)
        if not sitting:
            self._trunk()
        self._robe()
        if outfit.coat:
            self._coat()
        if outfit.scarf and figure.cos < 0:
            self._scarf()
        head.front()
        if outfit.scarf and figure.cos >= 0:
            self._scarf()
        for side in arms:
            if side not in far:
                self._arm(side)

    def _arm_depth(self, side: int) -> float:
        joints, depth = self.figure.joints, self.figure.depth
        return 0.5 * depth(joints["elbow", side]) + 0.5 * depth(joints["wrist", side])

    def _arm(self, side: int) -> None:
        figure, outfit, limb = self.figure, self.outfit, self.limb
        skin = self.inks[f"arm{side}"]
        shoulder, elbow, wrist, hand = (figure.at(name, side) for name in ("shoulder", "elbow", "wrist", "hand"))
        self.canvas.capsule(skin, shoulder, 0.03 * limb, elbow, 0.023 * limb)
        self.canvas.capsule(skin, elbow, 0.023 * limb, wrist, 0.016 * limb)
        palm = figure.between("wrist", "hand", side, 0.45)
        self.canvas.capsule(skin, palm, 0.021 * limb, hand, 0.014 * limb)
        x, y, z = figure.joints["wrist", side]
        thumb = figure.project((x - 0.012 * side, y - 0.022, z + 0.02))
        self.canvas.capsule(skin, wrist, 0.009 * limb, thumb, 0.007 * limb)
        if outfit.gloves:
            cuff = figure.between("wrist", "elbow", side, outfit.gloves)
            self.canvas.capsule(self.inks["glove"], cuff, 0.022 * limb, wrist, 0.02 * limb)
            self.canvas.capsule(self.inks["glove"], palm, 0.025 * limb, hand, 0.018 * limb)
            self.canvas.capsule(self.inks["glove"], wrist, 0.011 * limb, thumb, 0.01 * limb)
        worn = "dress" if outfit.dress else "top"
        self._sleeve(side, self.inks[worn], outfit.top_sleeve, outfit.loose)
        if outfit.coat:
            self._sleeve(side, self.inks["coat"], outfit.coat_sleeve, outfit.loose + 0.007)

    def _sleeve(self, side: int, ink: int, length: float, ease: float) -> None:
        if length <= 0:
            return
        figure, limb, ease = self.figure, self.limb, ease * self.scale
        end = figure.between("shoulder", "elbow", side, min(length, 1.0))
        self.canvas.capsule(ink, figure.at("shoulder", side), 0.031 * limb + ease, end, 0.025 * limb + ease)
        if length > 1:
            end = figure.between("elbow", "wrist", side, min(length - 1, 0.97))
            self.canvas.capsule(ink, figure.at("elbow", side), 0.025 * limb + ease, end, 0.018 * limb + ease)

    def _leg(self, side: int) -> None:
        figure, outfit, limb = self.figure, self.outfit, self.limb
        skin = self.inks[f"leg{side}"]
        hip, knee, ankle, toe = (figure.at(name, side) for name in ("hip", "knee", "ankle", "toe"))
        self.canvas.capsule(skin, hip, 0.05 * limb, knee, 0.035 * limb)
        self.canvas.capsule(skin, knee, 0.034 * limb, ankle, 0.021 * limb)
        self.canvas.capsule(skin, ankle, 0.021 * limb, toe, 0.016 * limb)
        if outfit.socks:
            top = figure.between("ankle", "knee", side, outfit.socks)
            self.canvas.capsule(self.inks["sock"], top, (0.024 + 0.01 * outfit.socks) * limb, ankle, 0.023 * limb)
            self.canvas.capsule(self.inks["sock"], ankle, 0.023 * limb, toe, 0.018 * limb)
        boots = outfit.shoes > 0.2
        if outfit.shoes >= 0 and not boots:
            self._shoe(side)
        if outfit.trousers:
            self._trouser(side)
        if boots:
            self._shoe(side)

    def _shoe(self, side: int) -> None:
        figure, limb, ink = self.figure, self.limb, self.inks[f"shoe{side}"]
        ankle, toe = figure.at("ankle", side), figure.at("toe", side)
        top = figure.between("ankle", "knee", side, max(self.outfit.shoes, 0.02))
        self.canvas.capsule(ink, top, (0.025 + 0.018 * max(self.outfit.shoes, 0)) * limb, ankle, 0.026 * limb)
        self.canvas.capsule(ink, (ankle[0], ankle[1] + 0.008 * limb), 0.026 * limb, toe, 0.022 * limb)

    def _trouser(self, side: int) -> None:
        figure, limb, length = self.figure, self.limb, self.outfit.trousers
        ease, ink = self.outfit.loose * self.scale, self.inks["trousers"]
        end = figure.between("hip", "knee", side, min(length, 1.0))
        self.canvas.capsule(ink, figure.at("hip", side), 0.053 * limb + ease, end, 0.038 * limb + ease)
        if length > 1:
            end = figure.between("knee", "ankle", side, length - 1)
            self.canvas.capsule(ink, figure.at("knee", side), 0.037 * limb + ease, end, 0.024 * limb + 1.4 * ease)

    def _trunk(self) -> None:
        figure, outfit, inks = self.figure, self.outfit, self.inks
        x, y = figure.head
        base = figure.project(figure.spine(0.96))
        neck = 0.032 * self.limb
        self.canvas.polygon(inks["torso"], figure.torso(-0.2, 1.03))
        self.canvas.capsule(inks["torso"], base, neck * 1.15, (x, y), neck)
        if outfit.trousers:
            self.canvas.polygon(inks["trousers"], figure.torso(-0.24, 0.2, outfit.loose))
        if outfit.top_hem < 1.5:
            self.canvas.polygon(inks["top"], figure.torso(outfit.top_hem, 1.0, outfit.loose, hang=True))
            self._neckline(outfit.neckline)

    def _neckline(self, depth: float) -> None:
        """Draw bare skin above the collar if the person is seen from the front."""
        figure = self.figure
        if depth <= 0 or figure.cos < 0:
            return
        angle = 0.5 + depth
        points = [figure.surface(1.03, -angle), figure.surface(1.0, -angle - 0.1), figure.surface(0.99 - depth, 0.0)]
        points += [figure.surface(1.0, angle + 0.1), figure.surface(1.03, angle)]
        self.canvas.flat(self.inks["torso"], points)

    def _robe(self) -> None:
        """Draw the skirt or the whole dress."""
        figure, outfit = self.figure, self.outfit
        if outfit.dress:
            self._drape(self.inks["dress"], outfit.dress, 0.012 + outfit.loose, flare=0.03)
            self.canvas.polygon(self.inks["dress"], figure.torso(-0.1, 1.0, outfit.loose))
            self._neckline(outfit.neckline)
        elif outfit.skirt:
            self._drape(self.inks["skirt"], outfit.skirt, 0.01 + outfit.loose, flare=0.035)
            self.canvas.polygon(self.inks["skirt"], figure.torso(-0.1, 0.24, 0.004))
            if outfit.top_hem < 0.02:
                self.canvas.polygon(self.inks["top"], figure.torso(max(outfit.top_hem, -0.06), 0.3, outfit.loose))

    def _drape(self, ink: int, length: float, ease: float, flare: float) -> None:
        """Draw cloth around both legs down to a hem: the hull of the thighs, then of the shins."""
        figure, scale = self.figure, self.scale
        left, right, y = figure.extent(0.05, ease)
        upper = [(left, y), (right, y)]
        share = min(length, 1.0)
        knees = self._hem("hip", "knee", share, ease + flare * share)
        self.canvas.polygon(ink, hull(upper + knees))
        if length > 1:
            hems = self._hem("knee", "ankle", length - 1, ease + flare * length)
            # Shins that trail far behind do not carry the cloth: the hem falls from the knees.
            drop = (length - 1) * 0.2 * scale
            fallen = [(x, min(y, y0 + drop)) for (x, y), (_, y0) in zip(hems, knees, strict=True)]
            self.canvas.polygon(ink, hull(knees + fallen))

    def _hem(self, first: str, second: str, share: float, ease: float) -> list[Point]:
        radius = 0.035 * self.limb + ease * self.scale
        points = []
        for side in SIDES:
            x, y = self.figure.between(first, second, side, share)
            points += [(x - radius, y), (x + radius, y)]
        return points

    def _coat(self) -> None:
        """Draw the coat: in one piece if closed or seen from behind, else two panels beside the opening."""
        figure, outfit, ink = self.figure, self.outfit, self.inks["coat"]
        ease = outfit.loose + 0.01
        upright = figure.pose.name not in ("sitting", "crouching")
        if not outfit.coat_open or figure.cos < 0.2:
            if upright and outfit.coat > 0.3:
                self._drape(ink, outfit.coat, ease, flare=0.02)
            self.canvas.polygon(ink, figure.torso(-0.3 if outfit.coat > 0.15 else -0.05, 1.02, ease, hang=True))
            if figure.cos >= 0.2:
                self._neckline(0.06)
            return
        low = -0.3 if outfit.coat > 0.15 else -0.05
        heights = (low, 0.1, 0.42, 0.72, 0.9, 1.02)
        for side in SIDES:
            edge = [figure.surface(h, side * outfit.coat_open * (1.0 if h < 1 else 0.6), ease) for h in heights]
            outer = [
                (right if side * figure.cos > 0 else left, y)
                for left, right, y in (figure.extent(h, ease) for h in heights)
            ]
            if upright and outfit.coat > 0.3:
                fall = outfit.coat * 0.24 * self.scale
                sway = 0.02 * self.scale * (1 if side * figure.cos > 0 else -1)
                edge.insert(0, (edge[0][0], edge[0][1] + fall))
                outer.insert(0, (outer[0][0] + sway, outer[0][1] + fall))
            self.canvas.polygon(ink, outer + edge[::-1])

    def _scarf(self) -> None:
        figure, ink, scale = self.figure, self.inks["scarf"], self.scale
        x, y = figure.project(figure.spine(1.06))
        self.canvas.ellipse(ink, (x, y), 0.066 * scale, 0.032 * scale)
        if figure.cos > 0.1:
            side = self.rng.choice((-0.5, 0.5))
            length = self.rng.uniform(0.2, 0.8)
            top, end = figure.surface(1.0, side * 0.6, 0.01), figure.surface(1.0 - length, side, 0.015)
            self.canvas.capsule(ink, top, 0.026 * scale, end, 0.03 * scale)
