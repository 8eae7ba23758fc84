"""Clothes, drawn once per person, independent of pose and view."""

import colorsys
from dataclasses import dataclass
from random import Random

from .canvas import Colour

BLACK: Colour = (0.0, 0.0, 0.0)
_SKINS = ((255, 224, 196), (241, 194, 155), (224, 172, 120), (198, 134, 86), (141, 88, 54), (92, 58, 38), (66, 42, 30))
_HAIRS = (
    (28, 22, 20),
    (52, 34, 24),
    (92, 60, 34),
    (140, 92, 48),
    (206, 168, 98),
    (232, 208, 150),
    (150, 62, 30),
    (150, 150, 152),
)
_NEUTRALS = (
    (24, 24, 28),
    (52, 54, 60),
    (110, 112, 116),
    (236, 234, 228),
    (38, 46, 78),
    (58, 78, 120),
    (150, 124, 92),
    (92, 70, 52),
)


@dataclass(frozen=True)
class Outfit:
    """Garments of one person.

    Lengths run along limbs: sleeves 0 (none) to 2 (wrist), legs and hems 0 (hip) to 2 (ankle). Unless noted otherwise,
    a garment of length 0 is not worn.
    """

    skin: Colour
    hair: Colour
    hair_style: str  # bald, short, bob, long, tail, bun, afro
    hat: str  # none, cap, beanie, brim
    sunglasses: bool
    gloves: float  # how far up the forearm, 0 none
    scarf: bool
    top_sleeve: float
    top_hem: float  # height on the torso; 2 when there is no top (dress or bare chest)
    neckline: float  # depth in torso lengths
    trousers: float
    skirt: float
    dress: float
    coat: float  # hem; 0 none
    coat_sleeve: float
    coat_open: float  # half angle of the opening, 0 closed
    socks: float  # how far up the shin, 0 none
    shoes: float  # how far up the shin; negative barefoot
    loose: float  # ease of the clothes, in statures


def cloth_colour(rng: Random) -> Colour:
    """Draw a textile colour: neutral or any hue."""
    if rng.random() < 0.4:
        return jitter(rng, rng.choice(_NEUTRALS), 14)
    saturation = rng.uniform(0.2, 0.95)
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.25, 0.98))
    return (255 * red, 255 * green, 255 * blue)


def jitter(rng: Random, colour: Colour, amount: float) -> Colour:
    """Draw a colour near another one."""
    red, green, blue = (channel + rng.uniform(-amount, amount) for channel in colour)
    return (red, green, blue)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Mix two colours, with `share` of the second."""
    red, green, blue = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def skin_colour(rng: Random) -> Colour:
    """Draw a skin tone between two neighbours on a light-to-dark scale."""
    position = rng.uniform(0, len(_SKINS) - 1.001)
    low, share = int(position), position % 1
    return mix(_SKINS[low], _SKINS[low + 1], share)


def draw_outfit(rng: Random) -> Outfit:
    """Draw the garments of one person."""
    kind = rng.choices(("trousers", "shorts", "skirt", "dress"), (46, 15, 19, 20))[0]
    cold = rng.random() < 0.4
    bare = kind in ("trousers", "shorts") and not cold and rng.random() < 0.08
    coat = rng.random() < (0.65 if cold else 0.12)
    hem = rng.choices((0.95, 1.25, 1.75), (4, 4, 2))[0] + rng.uniform(-0.2, 0.2)
    crop = not cold and rng.random() < 0.22
    sleeve = rng.choices((0.0, 0.15, 0.55, 1.0, 2.0), (1, 2, 5, 1, 12 if cold else 4))[0]
    return Outfit(
        skin=skin_colour(rng),
        hair=jitter(rng, rng.choice(_HAIRS), 12),
        hair_style=rng.choices(("bald", "short", "bob", "long", "tail", "bun", "afro"), (6, 34, 16, 22, 9, 7, 6))[0],
        hat=rng.choices(("none", "cap", "beanie", "brim"), (66, 13, 12, 9))[0],
        sunglasses=rng.random() < 0.24,
        gloves=rng.uniform(0.12, 0.5) if rng.random() < (0.38 if cold else 0.1) else 0.0,
        scarf=rng.random() < (0.4 if cold else 0.07),
        top_sleeve=0.0 if bare else sleeve,
        top_hem=2.0 if bare or kind == "dress" else (rng.uniform(0.3, 0.5) if crop else rng.uniform(-0.2, 0.06)),
        neckline=rng.choice((0.03, 0.08, 0.14, 0.24)) if not cold else rng.choice((0.0, 0.03, 0.08)),
        trousers={"trousers": rng.uniform(1.8, 2.02), "shorts": rng.uniform(0.45, 1.1)}.get(kind, 0.0),
        skirt=hem if kind == "skirt" else 0.0,
        dress=hem if kind == "dress" else 0.0,
        coat=rng.choice((0.12, 0.2, 0.5, 0.95)) if coat else 0.0,
        coat_sleeve=rng.uniform(1.85, 2.05) if rng.random() < 0.92 else rng.uniform(0.0, 0.2),
        coat_open=rng.uniform(0.25, 0.9) if rng.random() < 0.7 else 0.0,
        socks=rng.choice((0.15, 0.3, 0.6, 0.85)) if rng.random() < 0.55 else 0.0,
        shoes=rng.choices((0.0, 0.1, rng.uniform(0.3, 0.75), -1.0), (52, 20, 20, 8))[0],
        loose=rng.uniform(0.003, 0.016),
    )
