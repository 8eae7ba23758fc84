"""Draw a mosaic: the photo, the parts laid over it, and a legend of the parts present."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from m2fp_kd.labels import LabelSet

LONGEST, SHORTEST = 1024, 512
"""Bounds in pixels of the photo's longest side in the mosaic."""

REDUCING_GAP = 1.25
"""A large photo is averaged over blocks to at least this many times the size before the slower bicubic resize."""

OPACITY = 0.75
BACKGROUND_BRIGHTNESS = 0.45
GAP = 12
TEXT_SIZE = 15
SWATCH = 14
LINE = 24


def mosaic(photo: np.ndarray, part_map: np.ndarray, labels: LabelSet, every_part: bool = False) -> Image.Image:
    """Draw photo, overlay and legend.

    Args:
        photo: uint8 (h, w, 3) RGB, of the part map's size or drawn by `shown`.
        part_map: uint8 (H, W).
        labels: label set of the part map.
        every_part: list every part in the legend, without shares, so that the frames of a video have one size and one
            legend; False lists the parts present, with their shares.
    """
    picture = Image.fromarray(photo)
    size = shown_size(*part_map.shape)
    if photo.shape[:2] == part_map.shape:
        picture = shown(picture, part_map.shape)
    elif picture.size != size:
        raise ValueError(f"photo of size {photo.shape[:2]} with a part map of size {part_map.shape}")
    parts = Image.fromarray(part_map)
    small_map = np.asarray(parts.resize(size, Image.Resampling.NEAREST))
    columns = max(2 * size[0] + GAP, SHORTEST)
    legend = _whole_legend(labels, columns) if every_part else _legend(_present(parts, labels), labels, columns)
    sheet = Image.new("RGB", (legend.width + 2 * GAP, size[1] + legend.height + 3 * GAP), "white")
    sheet.paste(picture, (GAP, GAP))
    coloured = _outline(_overlay(np.asarray(picture), small_map, labels), small_map)
    sheet.paste(Image.fromarray(coloured).convert("RGB"), (size[0] + 2 * GAP, GAP))
    sheet.paste(legend, (GAP, size[1] + 2 * GAP))
    return sheet


def shown(photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize a photo to what a mosaic shows of it.

    Args:
        photo: RGB.
        size: the photo's own size (height, width), which differs from the image's where its decoder reduced it.
    """
    return photo.resize(shown_size(*size), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)


def shown_size(height: int, width: int) -> tuple[int, int]:
    """Return width and height in a mosaic of a photo."""
    longest = max(height, width)
    scale = min(max(longest, SHORTEST), LONGEST) / longest
    return max(1, round(width * scale)), max(1, round(height * scale))


def overlay(photo: np.ndarray, part_map: np.ndarray, labels: LabelSet) -> np.ndarray:
    """Lay the parts' colours over the photo in grey; background stays darkened grey, ignored pixels light grey.

    Args:
        photo: uint8 (H, W, 3) RGB.
        part_map: uint8 (H, W).

    Returns:
        uint8 (H, W, 3).
    """
    return _overlay(photo, part_map, labels)[..., :3]


def _overlay(photo: np.ndarray, part_map: np.ndarray, labels: LabelSet) -> np.ndarray:
    """Return the overlay as uint8 (H, W, 4) RGBA, opaque: NumPy looks up four bytes faster than three."""
    grey = np.asarray(Image.fromarray(photo).convert("L"))
    colours = _blends(labels)[(part_map.astype(np.intp) << 8) | grey]
    return colours.view(np.uint8).reshape(*part_map.shape, 4)


@cache
def _blends(labels: LabelSet) -> np.ndarray:
    """Return the colour of each part over each grey level, with index ``256 * part + grey``.

    Returns:
        uint32 (256 * 256,), each the bytes R, G, B and 255.
    """
    grey = np.arange(256, dtype=np.float32)[:, None]
    colours = np.array(labels.palette(), np.uint8).reshape(256, 1, 3)
    blends = OPACITY * colours + (1 - OPACITY) * grey
    blends[0] = BACKGROUND_BRIGHTNESS * grey
    rgb = blends.round().astype(np.uint8).reshape(-1, 3)
    return np.pad(rgb, ((0, 0), (0, 1)), constant_values=255).view(np.uint32).ravel()


def _outline(picture: np.ndarray, part_map: np.ndarray) -> np.ndarray:
    """Draw light lines where parts meet, in place."""
    edges = np.zeros(part_map.shape, bool)
    edges[:, 1:] |= part_map[:, 1:] != part_map[:, :-1]
    edges[1:] |= part_map[1:] != part_map[:-1]
    picture[edges] = (0.3 * picture[edges] + 0.7 * 255).round()
    return picture


@cache
def _whole_legend(labels: LabelSet, width: int) -> Image.Image:
    return _legend(list(enumerate(labels.parts))[1:], labels, width)


def _legend(parts: Sequence[tuple[int, str]], labels: LabelSet, width: int) -> Image.Image:
    """Draw a swatch and a text for each part (index and text), wrapped at `width` pixels."""
    font = text_font()
    entries = []
    x, y = 0, 0
    for index, text in parts:
        needed = SWATCH + 6 + round(font.getlength(text)) + 2 * GAP
        if x and x + needed - 2 * GAP > width:
            x, y = 0, y + LINE
        entries.append((x, y, index, text))
        x += needed
    picture = Image.new("RGB", (width, y + LINE), "white")
    draw = ImageDraw.Draw(picture)
    if not entries:
        draw.text((0, LINE // 2), "no part found", fill=(30, 30, 30), font=font, anchor="lm")
    palette = labels.palette()
    for x, y, index, text in entries:
        colour = (palette[3 * index], palette[3 * index + 1], palette[3 * index + 2])
        top = y + (LINE - SWATCH) // 2
        draw.rounded_rectangle((x, top, x + SWATCH, top + SWATCH), radius=3, fill=colour)
        draw.text((x + SWATCH + 6, y + LINE // 2), text, fill=(30, 30, 30), font=font, anchor="lm")
    return picture


@cache
def text_font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of mosaics."""
    return ImageFont.load_default(TEXT_SIZE)


def _present(parts: Image.Image, labels: LabelSet) -> list[tuple[int, str]]:
    """Return the parts present in an image of their indices, largest first, each with its name and share."""
    counts = parts.histogram()  # in a sixth of the time of `np.bincount`, which converts to int64
    names = dict(enumerate(labels.parts)) | {labels.ignore_index: "not labelled"}
    largest_first = sorted((index for index in range(1, 256) if counts[index]), key=lambda index: -counts[index])
    return [(index, f"{names[index]}  {_percent(counts[index] / sum(counts))}") for index in largest_first]


def _percent(share: float) -> str:
    return "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
