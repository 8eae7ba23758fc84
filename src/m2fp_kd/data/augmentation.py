"""Ranges of the augmentation, without PyTorch, so that options are checked before its import."""

from dataclasses import dataclass

from m2fp_kd.rules import interval, number

RULES = {
    "scale": interval(number(0, open_low=True)),
    **dict.fromkeys(("rotation", "hue"), number(0, 180)),
    **dict.fromkeys(
        ("rotation_probability", "flip", "colour_probability", "brightness", "contrast", "saturation"), number(0, 1)
    ),
}


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the changes that are drawn for a training photo; zero disables a change.

    Attributes:
        scale: longest side of the photo in crop sizes, drawn log-uniformly from this range.
        rotation: largest angle in degrees, in either direction.
        rotation_probability: share of photos that are rotated.
        flip: share of photos that are mirrored.
        colour_probability: share of photos to which each of the following four changes is applied.
        brightness: largest shift, as a share of the full range.
        contrast: largest relative change of the distance from mid-grey.
        saturation: largest relative change of the distance from grey.
        hue: largest rotation of the hue in degrees.

    Raises:
        ValueError: a value is out of its range.
    """

    scale: tuple[float, float] = (0.6, 1.6)
    rotation: float = 20.0
    rotation_probability: float = 0.3
    flip: float = 0.5
    colour_probability: float = 0.5
    brightness: float = 0.125
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 18.0

    def __post_init__(self) -> None:
        for name, rule in RULES.items():
            rule.check(f"augmentation.{name}", getattr(self, name))


NO_AUGMENTATION = Augmentation((1.0, 1.0), rotation=0, flip=0, colour_probability=0)
