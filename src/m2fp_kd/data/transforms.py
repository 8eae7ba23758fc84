"""Augmentation as M2FP's: scale jitter, rotation, crop, flip with left/right swap, colour.

The geometry is drawn once per photo as a `Warp`, which is applied to the photo, its label maps and cached log parts.

There are three frames: the *photo* (mirrored if flip was drawn), its *content* (the photo at the drawn scale) and the
*crop* (the square that the network sees). Coordinates are continuous; (0, 0) is the outer corner of the first pixel.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from m2fp_kd.data.augmentation import Augmentation
from m2fp_kd.data.reading import Photo
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.geometry import OUTPUT_STRIDE, PAD_RGB, Placement


@dataclass(frozen=True)
class Warp:
    """One geometric augmentation; all sizes and offsets are (height, width) in pixels.

    Attributes:
        source: size of the photo.
        content: size of the scaled photo.
        offset: position of the crop's corner in the content (negative: padding before the photo).
        size: side of the square crop.
        flip: whether the photo is mirrored first.
        angle: rotation of the crop about its own centre, in radians.
    """

    source: tuple[int, int]
    content: tuple[int, int]
    offset: tuple[int, int]
    size: int
    flip: bool = False
    angle: float = 0.0

    @classmethod
    def draw(cls, augmentation: Augmentation, source: tuple[int, int], size: int, rng: np.random.Generator) -> "Warp":
        """Draw scale, flip, angle and the position of the crop in the content (or of the content in the crop)."""
        low, high = (math.log(bound) for bound in augmentation.scale)
        scale = math.exp(rng.uniform(low, high)) * size / max(source)
        content = max(1, round(source[0] * scale)), max(1, round(source[1] * scale))
        places = rng.random(2)
        offset = round(places[0] * (content[0] - size)), round(places[1] * (content[1] - size))
        flip = bool(rng.random() < augmentation.flip)
        rotated = rng.random() < augmentation.rotation_probability
        angle = math.radians(rng.uniform(-1, 1) * augmentation.rotation) if rotated else 0.0
        return cls(source, content, offset, size, flip, angle)

    def image(self, image: np.ndarray, colour: list[float] | None = None) -> np.ndarray:
        """Warp a photo uint8 (H, W, 3) to the crop uint8 (S, S, 3), antialiased; only the visible content is scaled.

        Args:
            image: the photo.
            colour: colour matrix from `draw_colour`; the padding keeps its colour.
        """
        top, left, bottom, right = window = self._window()
        crop = Image.new("RGB", (self.size, self.size), PAD_RGB)
        if top >= bottom or left >= right:
            return np.array(crop)
        piece = Image.fromarray(image).resize(
            (right - left, bottom - top), Image.Resampling.BILINEAR, box=self._box(window)
        )
        if self.flip:
            piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if colour is not None:
            piece = piece.convert("RGB", colour)
        if self.angle:
            matrix = self._crop_to_content()
            matrix[:, 2] -= left, top
            crop = piece.transform(
                crop.size, Image.Transform.AFFINE, tuple(matrix.ravel()), Image.Resampling.BILINEAR, fillcolor=PAD_RGB
            )
        else:
            crop.paste(piece, (left - self.offset[1], top - self.offset[0]))
        return np.array(crop)

    def label_map(self, label_map: np.ndarray, fill: int) -> np.ndarray:
        """Warp a part or id map (H, W), uint8 or int32, to the crop (S, S) by nearest neighbour; `fill` outside."""
        matrix = self._crop_to_photo()
        if self.flip:
            matrix[0] = -matrix[0]
            matrix[0, 2] += self.source[1]
        warped = Image.fromarray(label_map).transform(
            (self.size, self.size),
            Image.Transform.AFFINE,
            tuple(matrix.ravel()),
            Image.Resampling.NEAREST,
            fillcolor=fill,
        )
        return np.array(warped)

    def parts(self, parts: np.ndarray, labels: LabelSet) -> np.ndarray:
        """Warp a part map uint8 (H, W) to the crop (S, S); swap left and right parts if the photo is mirrored."""
        warped = self.label_map(parts, labels.ignore_index)
        if not self.flip:
            return warped
        swap = np.arange(256, dtype=np.uint8)
        swap[: labels.num_parts] = labels.flip_permutation
        return swap[warped]

    def valid(self) -> Tensor:
        """Return bool (S/4, S/4), true where the cell's centre lies on the photo."""
        x, y = self._cell_centres()
        height, width = self.source
        return (x >= 0) & (x < width) & (y >= 0) & (y < height)

    def log_parts(self, log_parts: Tensor, placement: Placement) -> Tensor:
        """Warp cached log parts to log parts float32 (P, S/4, S/4) of the crop, by one bilinear interpolation.

        If flip was drawn, the teacher's own output for the mirrored photo is used, so that left and right are exact.

        Args:
            log_parts: float32 (2, P, h, w) of the photo and of the mirrored photo, on the teacher's canvas.
            placement: placement of the photo on that canvas.
        """
        grid = log_parts[int(self.flip)]
        x, y = self._cell_centres()
        axes = []
        for values, source, content, canvas, cells in zip(
            (x, y), self.source[::-1], placement.content[::-1], placement.canvas[::-1], grid.shape[:0:-1], strict=True
        ):
            position = values * (content * cells / (source * canvas))
            # Stay half a cell inside the photo, so that the teacher's output on the padding does not leak in.
            last = max(content * cells / canvas - 0.5, 0.5)
            axes.append(position.clamp(0.5, last) * (2 / cells) - 1)
        points = torch.stack(axes, dim=-1)[None].float()
        warped = F.grid_sample(grid[None], points, mode="bilinear", padding_mode="border", align_corners=False)
        return warped[0].log_softmax(dim=0)

    def _crop_to_content(self) -> np.ndarray:
        """Return the affine matrix (2, 3) from (x, y, 1) in the crop to the content: a rotation about its centre."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        centre = self.size / 2
        top, left = self.offset
        return np.array(
            [
                [cosine, -sine, left + centre * (1 - cosine + sine)],
                [sine, cosine, top + centre * (1 - cosine - sine)],
            ]
        )

    def _crop_to_photo(self) -> np.ndarray:
        """Return the affine matrix (2, 3) from the crop to the photo (mirrored if flip was drawn)."""
        scale = np.array(self.source[::-1]) / np.array(self.content[::-1])
        return self._crop_to_content() * scale[:, None]

    def _cell_centres(self) -> tuple[Tensor, Tensor]:
        """Return x and y of the cells' centres in the photo, float64 (S/4, S/4) each."""
        centres = (torch.arange(self.size // OUTPUT_STRIDE, dtype=torch.float64) + 0.5) * OUTPUT_STRIDE
        matrix = torch.from_numpy(self._crop_to_photo())
        x, y = (row[0] * centres[None, :] + row[1] * centres[:, None] + row[2] for row in matrix)
        return x, y

    def _window(self) -> tuple[int, int, int, int]:
        """Return the visible part of the content as (top, left, bottom, right) in whole pixels."""
        corners = np.array([[0, 0, 1], [self.size, 0, 1], [0, self.size, 1], [self.size, self.size, 1]])
        reach = corners @ self._crop_to_content().T
        margin = 1 if self.angle else 0  # for the bilinear rotation
        left, top = np.floor(reach.min(axis=0) - margin).astype(int).clip(0)
        right, bottom = np.minimum(np.ceil(reach.max(axis=0) + margin).astype(int), self.content[::-1])
        return int(top), int(left), int(bottom), int(right)

    def _box(self, window: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
        """Convert the window to Pillow's (left, top, right, bottom) in the unmirrored photo."""
        top, left, bottom, right = window
        height, width = self.content
        if self.flip:
            left, right = width - right, width - left
        down, across = self.source[0] / height, self.source[1] / width
        return (
            left * across,
            top * down,
            min(right * across, self.source[1]),
            min(bottom * down, self.source[0]),
        )


def draw_colour(augmentation: Augmentation, rng: np.random.Generator) -> list[float] | None:
    """Draw brightness, contrast, saturation and hue as one affine map of RGB (0..255), or None for no change.

    All four are linear in RGB (hue is a rotation about the grey axis that keeps luma, as in SVG's `hueRotate`), so one
    pass over the pixels applies them together.

    Returns:
        The 12 numbers, row by row, that `PIL.Image.convert("RGB", matrix)` takes.
    """
    applied = rng.random(4) < augmentation.colour_probability
    amounts = rng.uniform(-1, 1, 4) * applied
    if not applied.any():
        return None
    return colour_matrix(
        brightness=255 * augmentation.brightness * amounts[0],
        contrast=1 + augmentation.contrast * amounts[1],
        saturation=1 + augmentation.saturation * amounts[2],
        hue=math.radians(augmentation.hue * amounts[3]),
    )


def colour_matrix(brightness: float, contrast: float, saturation: float, hue: float) -> list[float]:
    """Return the affine map of RGB (0..255) as 12 numbers: hue (radians), saturation, contrast, brightness."""
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    cosine, sine = saturation * math.cos(hue), saturation * math.sin(hue)
    rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    linear = contrast * np.linalg.inv(to_yiq) @ rotation @ to_yiq
    shift = 128 * (1 - contrast) + brightness
    return np.column_stack([linear, np.full(3, shift)]).ravel().tolist()


def augment(
    photo: Photo, augmentation: Augmentation, size: int, labels: LabelSet, rng: np.random.Generator
) -> tuple[Photo, Warp]:
    """Draw an augmentation and apply it; the new photo's image and maps are (size, size)."""
    warp = Warp.draw(augmentation, photo.image.shape[:2], size, rng)
    augmented = Photo(
        photo.name,
        warp.image(photo.image, draw_colour(augmentation, rng)),
        None if photo.parts is None else warp.parts(photo.parts, labels),
        None if photo.persons is None else warp.label_map(photo.persons, 0),
        None if photo.instances is None else warp.label_map(photo.instances, 0),
    )
    return augmented, warp
