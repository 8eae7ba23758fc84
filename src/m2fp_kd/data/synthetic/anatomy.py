"""Bodies and poses: a small three-dimensional skeleton seen by an orthographic camera.

Body axes: x to the person's own left, y up, z to the person's front; the pelvis is the origin and the stature is 1.
Yaw turns the person: at 0 the person faces the camera and the own left is on the image's right, at pi the person is
seen from behind.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from random import Random

Vector = tuple[float, float, float]
LEFT, RIGHT = 1, -1
SIDES = (LEFT, RIGHT)

TORSO, NECK = 0.285, 0.05
UPPER_ARM, FOREARM, HAND = 0.155, 0.14, 0.05
THIGH, SHIN, FOOT = 0.24, 0.225, 0.085


@dataclass(frozen=True)
class Limb:
    """Directions of a limb's two bones in radians: `out` away from the body, `forward` to the front; 0 hangs down."""

    out: float
    forward: float
    end_out: float
    end_forward: float


@dataclass(frozen=True)
class Pose:
    """Arms and legs by side, lean of the torso (to the person's left, to the front), tilt of the head."""

    name: str
    arms: dict[int, Limb]
    legs: dict[int, Limb]
    lean: tuple[float, float]
    tilt: float


@dataclass(frozen=True)
class Build:
    """Proportions of a body, as shares of the stature."""

    shoulder: float
    chest: float
    waist: float
    hip: float
    limb: float
    head: float
    leg: float

    def profile(self) -> list[tuple[float, float, float]]:
        """List the torso's cross-sections from crotch to neck: (height in torso lengths, half width, half depth)."""
        return [
            (-0.24, self.hip * 0.6, 0.04),
            (-0.08, self.hip, 0.058),
            (0.12, self.hip * 0.96, 0.06),
            (0.42, self.waist, 0.05),
            (0.72, self.chest, 0.062),
            (0.86, self.shoulder * 0.96, 0.056),
            (0.96, self.shoulder * 0.78, 0.044),
            (1.04, 0.05, 0.038),
        ]


def draw_build(rng: Random) -> Build:
    """Draw a slim to stout adult with narrow to broad shoulders, or a child with a larger head."""
    broad, stout = rng.uniform(0, 1), rng.uniform(0.88, 1.22)
    child = rng.random() < 0.12
    return Build(
        shoulder=(0.1 + 0.024 * broad) * stout**0.5,
        chest=(0.082 + 0.016 * broad) * stout,
        waist=(0.066 + 0.018 * broad) * stout**1.3,
        hip=(0.092 - 0.01 * broad) * stout,
        limb=rng.uniform(0.9, 1.1) * stout**0.6,
        head=rng.uniform(1.15, 1.3) if child else rng.uniform(0.92, 1.08),
        leg=0.86 if child else rng.uniform(0.95, 1.05),
    )


def _arm(rng: Random, kind: str) -> Limb:
    swing = rng.uniform(-0.3, 0.3)
    bend = rng.uniform(0.0, 0.5)
    if kind == "raised":
        out = rng.uniform(1.7, 2.8)
        return Limb(out, rng.uniform(-0.2, 0.3), out + rng.uniform(0, 0.9), rng.uniform(-0.2, 0.4))
    if kind == "hip":
        return Limb(rng.uniform(0.6, 0.95), rng.uniform(-0.4, 0.1), rng.uniform(-0.9, -0.5), rng.uniform(0, 0.4))
    if kind == "spread":
        return Limb(rng.uniform(0.9, 1.7), swing, rng.uniform(0.8, 1.9), swing)
    if kind == "folded":
        return Limb(rng.uniform(0.15, 0.4), rng.uniform(0.2, 0.5), rng.uniform(-1.1, -0.6), rng.uniform(1.0, 1.5))
    if kind == "lifted":
        return Limb(rng.uniform(0.1, 0.5), rng.uniform(0.2, 0.7), rng.uniform(-0.3, 0.5), rng.uniform(1.7, 2.7))
    if kind == "lap":
        return Limb(rng.uniform(0.1, 0.35), rng.uniform(0.2, 0.5), rng.uniform(-0.4, 0.1), rng.uniform(0.9, 1.3))
    return Limb(rng.uniform(0.08, 0.32), swing, rng.uniform(0.0, 0.25), swing + bend)


def draw_pose(rng: Random) -> Pose:
    """Draw a standing, walking, sitting, crouching or striding pose with matching arms."""
    name = rng.choices(("standing", "walking", "sitting", "striding", "crouching"), (40, 25, 18, 10, 7))[0]
    kinds = ("hanging", "hip", "raised", "spread", "folded", "lifted", "lap")
    weights = (2, 1, 1, 1, 2, 2, 8) if name == "sitting" else (10, 4, 3, 2, 2, 4, 0)
    arms = {side: _arm(rng, rng.choices(kinds, weights)[0]) for side in SIDES}
    if rng.random() < 0.3:
        kind = rng.choices(kinds, weights)[0]
        arms = {side: _arm(rng, kind) for side in SIDES}
    stance = rng.uniform(0.0, 0.14)
    legs = {side: Limb(stance + rng.uniform(-0.03, 0.05), 0.05, stance * rng.uniform(0, 1), -0.05) for side in SIDES}
    if name in ("walking", "striding"):
        step = rng.uniform(0.25, 0.5) if name == "walking" else rng.uniform(0.5, 0.9)
        ahead = rng.choice(SIDES)
        legs[ahead] = Limb(stance, step, 0.0, step * rng.uniform(-0.3, 0.7))
        legs[-ahead] = Limb(stance, -step, 0.0, -step - rng.uniform(0.0, 0.7))
    elif name == "sitting":
        legs = {
            side: Limb(rng.uniform(0.1, 0.45), rng.uniform(1.25, 1.5), rng.uniform(-0.15, 0.3), rng.uniform(-0.3, 0.3))
            for side in SIDES
        }
    elif name == "crouching":
        legs = {
            side: Limb(rng.uniform(0.2, 0.6), rng.uniform(0.9, 1.3), rng.uniform(-0.1, 0.2), rng.uniform(-0.8, -0.4))
            for side in SIDES
        }
    forward = rng.uniform(0.2, 0.5) if name == "crouching" else rng.uniform(-0.06, 0.16)
    return Pose(name, arms, legs, (rng.gauss(0, 0.06), forward), rng.gauss(0, 0.1))


def _step(start: Vector, length: float, side: int, out: float, forward: float) -> Vector:
    flat = math.cos(out)
    return (
        start[0] + length * side * math.sin(out),
        start[1] - length * flat * math.cos(forward),
        start[2] + length * (flat * math.sin(forward) if flat > 0 else abs(flat) * math.sin(forward)),
    )


class Figure:
    """A posed body on the canvas.

    Args:
        build: proportions.
        pose: joint angles.
        origin: canvas position of the pelvis.
        scale: canvas pixels per stature.
        yaw: radians, 0 frontal, pi from behind.
        pitch: radians that the camera looks down.
    """

    def __init__(
        self, build: Build, pose: Pose, origin: tuple[float, float], scale: float, yaw: float, pitch: float
    ) -> None:
        self.build, self.pose, self.origin, self.scale, self.yaw = build, pose, origin, scale, yaw
        self.cos, self.sin = math.cos(yaw), math.sin(yaw)
        self._pitch = math.sin(pitch)
        lean, forward = pose.lean
        self._up = (math.sin(lean), math.cos(lean) * math.cos(forward), math.sin(forward))
        self._profile = build.profile()
        self.joints: dict[tuple[str, int], Vector] = {}
        for side in SIDES:
            self._pose_arm(side, pose.arms[side])
            self._pose_leg(side, pose.legs[side])

    def _pose_arm(self, side: int, limb: Limb) -> None:
        x, y, z = self.spine(0.85)
        shoulder = (x + side * self.build.shoulder * 0.86, y, z)
        elbow = _step(shoulder, UPPER_ARM, side, limb.out, limb.forward)
        wrist = _step(elbow, FOREARM, side, limb.end_out, limb.end_forward)
        hand = _step(wrist, HAND, side, limb.end_out, limb.end_forward)
        for name, joint in zip(("shoulder", "elbow", "wrist", "hand"), (shoulder, elbow, wrist, hand), strict=True):
            self.joints[name, side] = joint

    def _pose_leg(self, side: int, limb: Limb) -> None:
        leg = self.build.leg
        hip = (side * self.build.hip * 0.52, -0.02, 0.0)
        knee = _step(hip, THIGH * leg, side, limb.out, limb.forward)
        ankle = _step(knee, SHIN * leg, side, limb.end_out, limb.end_forward)
        toe = (ankle[0] + side * 0.03, ankle[1] - 0.022, ankle[2] + FOOT)
        for name, joint in zip(("hip", "knee", "ankle", "toe"), (hip, knee, ankle, toe), strict=True):
            self.joints[name, side] = joint

    def spine(self, height: float) -> Vector:
        """Return the body position on the spine at `height` in torso lengths."""
        x, y, z = self._up
        return (x * height * TORSO, y * height * TORSO, z * height * TORSO)

    def project(self, point: Vector) -> tuple[float, float]:
        """Project a body position to the canvas."""
        x, y, z = point
        return (
            self.origin[0] + self.scale * (self.cos * x + self.sin * z),
            self.origin[1] - self.scale * (y - self._pitch * self.depth(point)),
        )

    def depth(self, point: Vector) -> float:
        """Return how far a body position stands out towards the camera, in statures."""
        return self.cos * point[2] - self.sin * point[0]

    def at(self, name: str, side: int) -> tuple[float, float]:
        """Return the canvas position of a joint."""
        return self.project(self.joints[name, side])

    def between(self, first: str, second: str, side: int, share: float) -> tuple[float, float]:
        """Return the canvas position at a share of the bone between two joints."""
        (x0, y0), (x1, y1) = self.at(first, side), self.at(second, side)
        return (x0 + share * (x1 - x0), y0 + share * (y1 - y0))

    def girth(self, height: float) -> tuple[float, float]:
        """Return half width and half depth of the torso at a height, in statures."""
        profile = self._profile
        if height <= profile[0][0]:
            return profile[0][1:]
        for (h0, w0, d0), (h1, w1, d1) in pairwise(profile):
            if height <= h1:
                share = (height - h0) / (h1 - h0)
                return (w0 + share * (w1 - w0), d0 + share * (d1 - d0))
        return profile[-1][1:]

    def extent(self, height: float, ease: float = 0.0) -> tuple[float, float, float]:
        """Return the torso's silhouette at a height, canvas (left x, right x, y); `ease` in statures widens it."""
        width, depth = self.girth(height)
        half = self.scale * (math.hypot(width * self.cos, depth * self.sin) + ease)
        x, y = self.project(self.spine(height))
        return (x - half, x + half, y)

    def surface(self, height: float, angle: float, ease: float = 0.0) -> tuple[float, float]:
        """Return the canvas position on the torso's skin; angle 0 is the front, positive is the person's left."""
        width, depth = self.girth(height)
        x, y, z = self.spine(height)
        return self.project((x + (width + ease) * math.sin(angle), y, z + (depth + ease) * math.cos(angle)))

    def torso(self, low: float, high: float, ease: float = 0.0, hang: bool = False) -> list[tuple[float, float]]:
        """Outline the torso between two heights in torso lengths; with `hang`, cloth falls straight from the hips."""
        heights = [low, *(h for h, _, _ in self._profile if low < h < high), high]
        extents = [self.extent(h, ease) for h in heights]
        if hang:
            hip_left, hip_right, _ = self.extent(-0.08, ease)
            extents = [
                (min(left, hip_left), max(right, hip_right), y) if h < 0 else (left, right, y)
                for h, (left, right, y) in zip(heights, extents, strict=True)
            ]
        return [(left, y) for left, _, y in extents] + [(right, y) for _, right, y in reversed(extents)]

    @property
    def head(self) -> tuple[float, float]:
        """Canvas position of the centre of the head."""
        x, y, z = self.spine(1.0)
        return self.project((x + self.pose.tilt * 0.08, y + NECK + 0.066 * self.build.head, z + 0.018))
