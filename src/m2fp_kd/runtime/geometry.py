"""Convert photos to a network's input and results back: upright RGB, aspect-keeping resize, padding, inverse."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from m2fp_kd.runtime.photo_file import MEGAPIXELS, PhotoError, opened
from m2fp_kd.runtime.resize import Taps, bilinear

CANVAS_MULTIPLE = 32
"""Canvas sides are multiples of this, the stride of the coarsest feature map of every backbone."""

OUTPUT_STRIDE = 4
"""Canvas pixels per cell of the part logits, along each side."""

PAD_RGB = (124, 116, 104)
"""Padding colour: the ImageNet mean, about zero after normalisation."""

STRIP = 1 << 18
"""Pixels of a photo that are converted at a time; every conversion copies them."""

STORED_VIEWS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
"""EXIF orientation -> function that returns a view of an upright photo in the file's order of rows and columns."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns a stored photo upright."""

TRANSPOSED = (5, 6, 7, 8)
"""EXIF orientations that swap rows and columns."""

PhotoSource = str | Path | bytes | Image.Image | np.ndarray


@dataclass(frozen=True)
class Geometry:
    """How photos are resized and padded to a network's input.

    Attributes:
        size: pixels of the photo's longest side after resizing.
        fixed: pad to `size` x `size` (a multiple of 32); otherwise pad each side to the next multiple of 32.
    """

    size: int
    fixed: bool = True

    def __post_init__(self) -> None:
        if self.size < 1 or (self.fixed and self.size % CANVAS_MULTIPLE):
            above = max(CANVAS_MULTIPLE, -(-self.size // CANVAS_MULTIPLE) * CANVAS_MULTIPLE)
            raise ValueError(f"image size {self.size} must be a positive multiple of {CANVAS_MULTIPLE}; try {above}")

    def placement(self, size: tuple[int, int]) -> "Placement":
        """Return where a photo of this size (height, width) lies on its canvas."""
        longest = max(size)
        rows, columns = (max(1, (side * self.size + longest // 2) // longest) for side in size)
        sides = (self.size if self.fixed else -(-side // CANVAS_MULTIPLE) * CANVAS_MULTIPLE for side in (rows, columns))
        height, width = sides
        return Placement(size, (rows, columns), (height, width))


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


def read_photo(
    source: PhotoSource, formats: tuple[str, ...] | None = None, megapixels: float = MEGAPIXELS
) -> np.ndarray:
    """Read a photo of any mode as uint8 (H, W, 3) RGB, upright by EXIF; transparent pixels turn white.

    Floating-point grey is in 0..1 if no value exceeds 1, otherwise in 0..255.

    Args:
        source: a path, the bytes of a file, a Pillow image, or a uint8 array (H, W, 3) RGB or (H, W).
        formats: Pillow's decoders that a file may reach; None for all.
        megapixels: largest photo in a file, 10^6 pixels; checked before it is decoded.

    Raises:
        PhotoError: the photo is broken, truncated, empty, too large or of an unknown kind.
        FileNotFoundError: there is no such file.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _not_empty(_of_image(source), source)
    with opened(source, formats, megapixels) as image:
        return _not_empty(_upright_rgb(image), source)


def read_image(
    path: str | Path, megapixels: float = MEGAPIXELS, least: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """Read a photo as a Pillow image with the pixels of `read_photo`, without a copy where it is RGB and upright.

    Args:
        path: the photo's file.
        megapixels: largest photo, 10^6 pixels.
        least: pixels that the longest side of a JPEG keeps, which its decoder may reduce by 2, 4 or 8; None: all.

    Returns:
        The image, RGB and upright, and the photo's own size (height, width).

    Raises:
        PhotoError, FileNotFoundError: as in `read_photo`.
    """
    with opened(path, None, megapixels) as image:
        width, height = image.size
        if least:
            longest = max(width, height)
            image.draft(None, (max(1, least * width // longest), max(1, least * height // longest)))
        upright = _upright_image(image)
        size = (width, height) if _orientation(image) in TRANSPOSED else (height, width)
    return upright, size


def _upright_image(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode != "RGB" or image.has_transparency_data:
        return Image.fromarray(_not_empty(_upright_rgb(image), "photo"))
    turn = TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _not_empty(photo: np.ndarray, source: PhotoSource) -> np.ndarray:
    if 0 in photo.shape:
        raise PhotoError(f"{source if isinstance(source, str | Path) else 'photo'}: has no pixels")
    return photo


def _of_image(image: Image.Image) -> np.ndarray:
    try:
        return _upright_rgb(image)
    except Exception as error:  # each of Pillow's decoders reports a broken file by exceptions of its own
        raise PhotoError(f"photo: cannot be read as a photo ({error})") from error


def _from_array(array: np.ndarray) -> np.ndarray:
    rgb_or_grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype != np.uint8 or not rgb_or_grey or array.size == 0:
        raise PhotoError(f"a photo array is uint8 (H, W, 3) RGB or (H, W), not {array.dtype} {array.shape}")
    return np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array


def is_upright(path: str | Path) -> bool:
    """Return whether a readable photo's file has its rows and columns in the order of the upright photo."""
    with opened(path) as image:
        image.load()
        return _orientation(image) not in STORED_VIEWS


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded image; 1, upright, without valid EXIF."""
    with suppress(Exception):  # Pillow's parser reports broken EXIF by many kinds, from struct.error to SyntaxError
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return orientation if orientation in STORED_VIEWS else 1
    return 1


def _upright_rgb(image: Image.Image) -> np.ndarray:
    image.load()
    orientation = _orientation(image)
    if image.mode == "F" and np.asarray(image).max(initial=0) <= 1:  # 0..1, as scientific programs store photos
        image = image.point(lambda value: value * 255 + 0.5)
    rows, columns = image.size if orientation in TRANSPOSED else image.size[::-1]
    photo = np.empty((rows, columns, 3), np.uint8)
    stored = STORED_VIEWS.get(orientation, lambda upright: upright)(photo)
    height = max(1, STRIP // max(1, image.width))
    for top in range(0, image.height, height):
        bottom = min(top + height, image.height)
        stored[top:bottom] = _rgb(image.crop((0, top, image.width, bottom)))
    return photo


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16-bit grey in any of Pillow's integer modes
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        image = Image.fromarray(((grey + 128) // 257).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def place(
    photo: np.ndarray | Image.Image, geometry: Geometry, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, Placement]:
    """Fit a photo into a network's input: resize (bilinear, antialiased) and pad right and bottom.

    Args:
        photo: uint8 (H, W, 3) RGB, or an RGB image.
        geometry: size of the input.
        size: the photo's own size (height, width), where its decoder reduced it.

    Returns:
        The canvas, uint8 (h, w, 3), and where the photo lies on it.
    """
    placement = geometry.placement(size or (photo.shape[:2] if isinstance(photo, np.ndarray) else photo.size[::-1]))
    rows, columns = placement.content
    canvas = np.empty((*placement.canvas, 3), np.uint8)
    padding = np.full((placement.canvas[1], 3), PAD_RGB, np.uint8)  # whole rows are copied in a fifth of the time
    canvas[rows:], canvas[:rows, columns:] = padding, padding[columns:]
    canvas[:rows, :columns] = _resized(photo, (rows, columns), Image.Resampling.BILINEAR)
    return canvas, placement


def restore_map(part_map: np.ndarray, placement: Placement) -> np.ndarray:
    """Bring a part map, uint8 (h, w) on the canvas, to the photo's own size (H, W) by nearest neighbour."""
    if part_map.shape != placement.canvas:
        raise ValueError(f"part map of size {part_map.shape} on a canvas of {placement.canvas}")
    content = part_map[: placement.content[0], : placement.content[1]]
    return np.ascontiguousarray(_resized(content, placement.source, Image.Resampling.NEAREST))


def _resized(image: np.ndarray | Image.Image, size: tuple[int, int], how: Image.Resampling) -> np.ndarray:
    """Return an image, or an array (H, W) or (H, W, 3) of one, at another size (height, width)."""
    if isinstance(image, np.ndarray):
        if image.shape[:2] == size:
            return image
        image = Image.fromarray(image)
    return np.asarray(image.resize(size[::-1], how))


def restore_dense(values: np.ndarray, placement: Placement) -> np.ndarray:
    """Bring dense values to the photo's own size, bilinearly.

    Args:
        values: (C, h', w') at any stride of the canvas.

    Returns:
        float32 (C, H, W).
    """
    rows, columns = restore_taps(values.shape[-2:], placement)
    return rows.rows(columns.columns(values.astype(np.float32, copy=False)))


def restore_taps(grid: tuple[int, ...], placement: Placement) -> tuple[Taps, Taps]:
    """Return the row and column resize from a `grid` (h', w') over the canvas to the photo's own size.

    Each combines M2FP's two resizes: the grid to the canvas, then the content to the photo.
    """
    rows, columns = (
        bilinear(side, canvas)[:content].then(bilinear(content, source))
        for side, canvas, content, source in zip(
            grid, placement.canvas, placement.content, placement.source, strict=True
        )
    )
    return rows, columns
