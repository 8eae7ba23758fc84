"""The one way from a photo to a network's input and back: upright RGB, aspect-keeping resize, padding, inverse."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

STRIDE = 32
"""Canvas sides are multiples of this: the coarsest feature map of every backbone."""

PAD_RGB = (124, 116, 104)
"""Padding colour: the ImageNet mean, about zero after normalisation."""

PhotoSource = str | Path | bytes | Image.Image | np.ndarray


class PhotoError(ValueError):
    """A photo that cannot be read; the message names it."""


@dataclass(frozen=True)
class Geometry:
    """How photos are fitted into a network's input.

    Attributes:
        size: pixels of the photo's longest side after resizing.
        fixed: pad to `size` x `size` (a multiple of 32); otherwise pad each side to the next multiple of 32.
    """

    size: int
    fixed: bool = True

    def __post_init__(self) -> None:
        if self.size < 1 or (self.fixed and self.size % STRIDE):
            above = max(STRIDE, -(-self.size // STRIDE) * STRIDE)
            raise ValueError(f"image size {self.size} must be a positive multiple of {STRIDE}; try {above}")


@dataclass(frozen=True)
class Placement:
    """Where a photo lies on its canvas; all sizes are (height, width) in pixels, the content is top-left.

    Attributes:
        source: the photo's own size.
        content: its size on the canvas.
        canvas: the network's input size.
    """

    source: tuple[int, int]
    content: tuple[int, int]
    canvas: tuple[int, int]


def read_photo(source: PhotoSource) -> np.ndarray:
    """Read a photo of any mode as uint8 (H, W, 3) RGB, upright by EXIF; transparent pixels turn white.

    Args:
        source: a path, the bytes of a file, a Pillow image, or a uint8 array (H, W, 3) RGB or (H, W).

    Raises:
        PhotoError: the photo is broken, truncated, empty or of an unknown kind.
        FileNotFoundError: there is no such file.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    name = str(source) if isinstance(source, str | Path) else "photo"
    try:
        if isinstance(source, Image.Image):
            photo = _upright_rgb(source)
        else:
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                photo = _upright_rgb(image)
    except FileNotFoundError:
        raise
    # Pillow's decoders report a broken file by any of these.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, Image.DecompressionBombError) as error:
        raise PhotoError(f"{name}: cannot be read as a photo ({error})") from error
    if 0 in photo.shape:
        raise PhotoError(f"{name}: has no pixels")
    return photo


def _from_array(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or 0 in array.shape:
        raise PhotoError(f"a photo array is uint8 (H, W, 3) RGB or (H, W), not {array.dtype} {array.shape}")
    return np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array


def _upright_rgb(image: Image.Image) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey, in whatever container
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        image = Image.fromarray(((grey + 128) // 257).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def place(photo: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, Placement]:
    """Fit a photo into a network's input: resize (bilinear, antialiased) and pad right and bottom.

    Args:
        photo: uint8 (H, W, 3) RGB.

    Returns:
        The canvas, uint8 (h, w, 3), and where the photo lies on it.
    """
    height, width = photo.shape[:2]
    longest = max(height, width)
    content = tuple(max(1, (side * geometry.size + longest // 2) // longest) for side in (height, width))
    canvas_size = tuple(geometry.size if geometry.fixed else -(-side // STRIDE) * STRIDE for side in content)
    canvas = np.empty((*canvas_size, 3), np.uint8)
    canvas[...] = PAD_RGB
    resized = Image.fromarray(photo).resize(content[::-1], Image.Resampling.BILINEAR)
    canvas[: content[0], : content[1]] = resized
    return canvas, Placement((height, width), content, canvas_size)


def restore_map(part_map: np.ndarray, placement: Placement) -> np.ndarray:
    """Bring a part map, uint8 (h, w) on the canvas, to the photo's own size (H, W) by nearest neighbour."""
    if part_map.shape != placement.canvas:
        raise ValueError(f"part map of size {part_map.shape} on a canvas of {placement.canvas}")
    content = part_map[: placement.content[0], : placement.content[1]]
    height, width = placement.source
    return np.asarray(Image.fromarray(content).resize((width, height), Image.Resampling.NEAREST))


def restore_dense(values: np.ndarray, placement: Placement) -> np.ndarray:
    """Bring dense values to the photo's own size, bilinearly.

    Args:
        values: (C, h', w') at any stride of the canvas.

    Returns:
        float32 (C, H, W).
    """
    rows, columns = restore_weights(values.shape[-2:], placement)
    return rows @ values.astype(np.float32, copy=False) @ columns.T


def restore_weights(grid: tuple[int, ...], placement: Placement) -> tuple[np.ndarray, np.ndarray]:
    """Row weights (H, h') and column weights (W, w') that bring a `grid` (h', w') over the canvas to the photo's size.

    Two bilinear resizes as in M2FP (grid to canvas, then its content to the photo) in one: both are linear and separable.
    """
    height, width = (
        bilinear_matrix(content, source) @ bilinear_matrix(side, canvas)[:content]
        for side, canvas, content, source in zip(grid, placement.canvas, placement.content, placement.source, strict=True)
    )
    return height, width


def bilinear_taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two source indices of every target index, int64 (target,), and the weight float32 of the second.

    Pixel edges are aligned (`align_corners=False`); beyond the border its own value goes on.
    """
    centres = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    below = np.floor(centres).astype(np.int64)
    return below, np.minimum(below + 1, source - 1), (centres - below).astype(np.float32)


def bilinear_matrix(source: int, target: int) -> np.ndarray:
    """`bilinear_taps` as a matrix, float32 (target, source)."""
    below, above, fraction = bilinear_taps(source, target)
    matrix = np.zeros((target, source), np.float32)
    rows = np.arange(target)
    matrix[rows, below] += 1 - fraction
    matrix[rows, above] += fraction
    return matrix
