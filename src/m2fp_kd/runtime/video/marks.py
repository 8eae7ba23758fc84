"""Mark persons in a mosaic by the colour and number of their id."""

from collections.abc import Iterable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from m2fp_kd.labels import distinct_colours
from m2fp_kd.runtime.mosaic import GAP, shown_size, text_font
from m2fp_kd.runtime.parsing import Parsing

COLOURS = 12
"""Colours of ids; later ids use them again."""

LINE = 3
"""Pixels of an outline's width."""


def id_colour(number: int) -> tuple[int, int, int]:
    """Return the colour of an id, RGB 0..255."""
    return _colours()[(number - 1) % COLOURS]


@cache
def _colours() -> tuple[tuple[int, int, int], ...]:
    return distinct_colours(COLOURS + 1)[1:]


def mark_people(sheet: Image.Image, parsing: Parsing, ids: Iterable[int]) -> None:
    """Draw an outline and a number for each person into the photo of a mosaic.

    Args:
        sheet: `parsing.mosaic()`; changed in place.
        parsing: a frame's.
        ids: of `parsing.people`, in their order.
    """
    height, width = parsing.part_map.shape
    size = shown_size(height, width)
    place = (GAP, GAP, GAP + size[0], GAP + size[1])
    picture = np.array(sheet.crop(place))
    labels = []
    for person, number in zip(parsing.people, ids, strict=True):
        mask = Image.fromarray(person.mask).resize(size, Image.Resampling.NEAREST)
        picture[_outline(np.asarray(mask))] = id_colour(number)
        labels.append((person.box[0] * size[0] / width, person.box[1] * size[1] / height, number))
    drawn = Image.fromarray(picture)
    draw = ImageDraw.Draw(drawn)
    for left, top, number in labels:
        _label(draw, left, top, number)
    sheet.paste(drawn, place)


def _outline(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask, bool (H, W), that lie at most `LINE` from its outside, the photo's edge excepted."""
    padded = np.pad(mask, LINE, mode="edge")
    inside = mask.copy()
    for away in (-LINE, LINE):
        inside &= padded[LINE + away : LINE + away + len(mask), LINE:-LINE]
        inside &= padded[LINE:-LINE, LINE + away : LINE + away + mask.shape[1]]
    return mask & ~inside


def _label(draw: ImageDraw.ImageDraw, left: float, top: float, number: int) -> None:
    """Write the number of an id on its colour, above a point or, at the photo's upper edge, below it."""
    font, text = text_font(), str(number)
    width, height = round(font.getlength(text)) + 8, 18
    top, colour = max(0.0, top - height), id_colour(number)
    draw.rectangle((left, top, left + width, top + height), fill=colour)
    ink = "black" if 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2] > 110 else "white"
    draw.text((left + width / 2, top + height / 2), text, fill=ink, font=font, anchor="mm")
