"""Label maps that are easily misread: other bit depths, lossy files, shifted indices, ignored outlines, cut files."""

import struct
import zlib

import numpy as np
from PIL import Image

from tests.hostile.images import chunk, cut, encoded

INDICES = np.kron(np.array([[0, 1], [1, 0]], np.uint8), np.ones((15, 20), np.uint8))
"""A label map, uint8 (30, 40), of the indices 0 and 1, the size of `images.pixels()`."""


def grey_png(indices: np.ndarray, bits: int) -> bytes:
    """Return indices as a grey PNG of 1, 2, 4, 8 or 16 bits, stored unscaled; Pillow scales 2 and 4 bits when reading.

    Args:
        indices: integers (H, W) below ``2 ** bits``.
        bits: bits a pixel.
    """
    if bits == 16:
        packed = indices.astype(">u2").view(np.uint8)
    else:
        shifts = np.arange(bits - 1, -1, -1, dtype=np.uint8)
        unpacked = (indices.astype(np.uint8)[..., None] >> shifts) & 1
        packed = np.packbits(unpacked.reshape(len(indices), -1), axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", indices.shape[1], indices.shape[0], bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def lossy(indices: np.ndarray, kind: str = "JPEG") -> bytes:
    """Return indices as a lossy file, whose values are others near the borders; ``kind`` is JPEG or WEBP."""
    image = Image.fromarray(indices.astype(np.uint8) * 5)
    return encoded(image if kind == "JPEG" else image.convert("RGB"), kind, quality=50)


def in_colour(indices: np.ndarray) -> bytes:
    """Return indices as an RGB PNG, in which the colours of the parts replace their indices."""
    return encoded(Image.fromarray(np.repeat(indices.astype(np.uint8)[..., None] * 100, 3, axis=2)))


def one_too_high(indices: np.ndarray) -> bytes:
    """Return indices as a PNG of 8 bits in which each is one too high, so that background never occurs."""
    return grey_png(indices + 1, 8)


def outlined(ids: np.ndarray, ignore: int = 255) -> bytes:
    """Return ids as a PNG in which each object has VOC's outline of ignored pixels."""
    borders = np.zeros(ids.shape, bool)
    borders[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    borders[1:] |= ids[1:] != ids[:-1]
    return grey_png(np.where(borders, ignore, ids), 8)


def cut_off(indices: np.ndarray) -> bytes:
    """Return the first part of a label map's file."""
    noise = np.random.default_rng(0).integers(0, 2, indices.shape) * indices
    return cut(grey_png(noise, 8))
