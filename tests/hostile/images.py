"""Photos that break readers: damaged metadata, decompression bombs, and files of a wrong or broken format.

Each generator returns the bytes of a file, takes milliseconds and needs little memory itself.
"""

import io
import math
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, features

SIZE = (40, 30)
"""Width and height of the photos that hold real pixels."""

GARBAGE = b"Exif\0\0garbage!"
"""EXIF bytes that are no TIFF structure."""

TWO_MEGABYTES = 1 << 21


def pixels(size: tuple[int, int] = SIZE, seed: int = 0) -> Image.Image:
    """Return an RGB image of noise; ``size`` is width and height."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return an image as a file of one of Pillow's formats."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """Return a PNG file with one more chunk, right behind its header."""
    header = 8 + 25
    return png[:header] + chunk(kind, data) + png[header:]


def png_claiming(width: int, height: int, bits: int = 8, colour_type: int = 2, data: bytes = b"\0" * 1000) -> bytes:
    """Return a PNG whose header claims a size.

    Args:
        width: pixels.
        height: pixels.
        bits: bits a channel.
        colour_type: 0 grey, 2 RGB, 3 palette, 6 RGBA.
        data: uncompressed rows, a filter byte before each; the default holds almost no pixel.
    """
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def flat_png(width: int, height: int, bits: int = 1, colour_type: int = 0) -> bytes:
    """Return a whole PNG of zeros, about a thousandth of its decoded size: a decompression bomb.

    ``flat_png(1, 49_000_000)`` has 95 kB, ``flat_png(7000, 7000)`` of 49 megapixels has 6 kB.
    """
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour_type]
    row = 1 + (width * bits * channels + 7) // 8
    packer = zlib.compressobj(9)
    strip = b"\0" * row * min(height, max(1, (1 << 20) // row))
    whole, rest = divmod(row * height, len(strip))
    packed = b"".join([*(packer.compress(strip) for _ in range(whole)), packer.compress(strip[:rest]), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def garbage_exif(kind: str) -> bytes:
    """Return a whole photo whose EXIF bytes are no EXIF; ``kind`` is PNG, WEBP or JPEG."""
    return encoded(pixels(), kind, exif=GARBAGE)


def long_text(kind: bytes = b"zTXt", size: int = TWO_MEGABYTES) -> bytes:
    """Return a whole PNG with a text that decompresses to ``size`` bytes; ``kind`` is zTXt, iTXt or tEXt."""
    text, head = b"a" * size, {b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\1\0\0\0", b"tEXt": b"Comment\0"}[kind]
    return with_chunk(encoded(pixels()), kind, head + (text if kind == b"tEXt" else zlib.compress(text)))


def large_profile(kind: str, size: int = TWO_MEGABYTES) -> bytes:
    """Return a whole photo with a colour profile of ``size`` bytes; ``kind`` is PNG, WEBP or JPEG."""
    return encoded(pixels(), kind, icc_profile=b"\0" * size)


def segments(count: int) -> bytes:
    """Return a whole JPEG with a number of empty segments, four bytes each."""
    data = encoded(pixels(), "JPEG")
    return data[:2] + b"\xff\xe5\0\2" * count + data[2:]


def filling(count: int) -> bytes:
    """Return a whole JPEG with a number of bytes that fill a place between segments."""
    data = encoded(pixels(), "JPEG")
    return data[:2] + b"\xff" * count + data[2:]


def comments(count: int) -> bytes:
    """Return a whole GIF with a comment in a number of blocks of one letter."""
    data = encoded(pixels().quantize(), "GIF")
    header = 13 + 3 * 256
    return data[:header] + b"\x21\xfe" + b"\1a" * count + b"\0" + data[header:]


def chunks(count: int, kind: bytes) -> bytes:
    """Return a whole PNG with a number of empty chunks of a kind, behind the pixels if nobody knows it."""
    data = encoded(pixels())
    place = data.index(b"IEND" if kind[1:2].islower() else b"IDAT") - 4
    return data[:place] + chunk(kind, b"") * count + data[place:]


def scans(side: int, count: int) -> bytes:
    """Return a whole progressive JPEG of one grey with further scans, each of which visits all pixels for nothing.

    ``scans(7000, 1000)`` has 0.3 MB and takes libjpeg 20 s.
    """
    data = encoded(Image.new("L", (side, side), 100), "JPEG", progressive=True)
    end = data.rindex(b"\xff\xd9")
    table = b"\xff\xc4" + struct.pack(">H", 20) + bytes([0x10, 1, *[0] * 15, 0xE0])  # one code: 2^14 blocks and more
    runs = math.ceil(math.ceil(side / 8) ** 2 / 32767)
    bits = ("0" + "1" * 14) * runs
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
    scan = b"\xff\xda" + struct.pack(">H", 8) + bytes([1, 1, 0, 1, 63, 0x10]) + coded
    return data[:end] + table + scan * count + data[end:]


def interlaced(width: int, height: int) -> bytes:
    """Return a whole interlaced PNG of black RGB pixels."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    packer = zlib.compressobj(9)
    packed = b""
    for left, top, across, down in passes:
        row = b"\0" * (1 + 3 * -(-(width - left) // across))
        packed += b"".join(packer.compress(row) for _ in range(top, height, down))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", packed + packer.flush()), chunk(b"IEND", b""))
    )


def animated(kind: str, count: int, size: tuple[int, int] = SIZE) -> bytes:
    """Return an animation of a number of pictures of one colour; ``kind`` is GIF, WEBP or PNG."""
    first, *more = (Image.new("RGB", size, (index % 256, 9, 99)) for index in range(count))
    return encoded(first, kind, save_all=True, append_images=more)


def broken_avif() -> bytes:
    """Return an AVIF file whose header is whole and whose pixels are noise."""
    data = bytearray(encoded(pixels((96, 96)), "AVIF"))
    start = data.rindex(b"mdat") + 4
    data[start:] = np.random.default_rng(0).integers(0, 256, len(data) - start, np.uint8).tobytes()
    return bytes(data)


def cut(data: bytes, share: float = 0.5) -> bytes:
    """Return the beginning of a file."""
    return data[: max(1, int(len(data) * share))]


def mutated(data: bytes, rng: np.random.Generator, most: int = 8) -> bytes:
    """Return a file with up to ``most`` random changes: a byte, a run of zeros, a part removed or repeated."""
    found = bytearray(data)
    for _ in range(rng.integers(1, most + 1)):
        if not found:
            break
        at, length = int(rng.integers(len(found))), int(rng.integers(1, 32))
        match rng.integers(4):
            case 0:
                found[at] = int(rng.integers(256))
            case 1:
                found[at : at + length] = bytes(len(found[at : at + length]))
            case 2:
                del found[at : at + length]
            case _:
                found[at:at] = found[at : at + length]
    return bytes(found)


def whole() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of photos with real pixels and hostile metadata; a reader returns their pixels."""
    for kind in ("PNG", "WEBP", "JPEG"):
        yield f"garbage EXIF in {kind}", garbage_exif(kind)
        yield f"2 MB of colour profile in {kind}", large_profile(kind)
    for kind in (b"zTXt", b"iTXt", b"tEXt"):
        yield f"2 MB of {kind.decode()}", long_text(kind)


def in_pieces() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of files of millions of pieces or many scans, which a reader refuses in a moment."""
    yield "JPEG of segments", segments(2_000_000)
    yield "JPEG of filling", filling(5_000_000)
    yield "GIF of comments", comments(2_000_000)
    yield "PNG of texts", chunks(500_000, b"tEXt")
    yield "PNG of empty pixels", chunks(500_000, b"IDAT")
    yield "PNG of unknown chunks", chunks(500_000, b"prVt")
    yield "JPEG of scans", scans(1000, 10_000)


def broken() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of files without readable pixels; a reader refuses them."""
    yield "nothing", b""
    yield "text", b"this is a text\n" * 20
    yield "SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    yield "polyglot", b"%PDF-1.4\n" + encoded(pixels())
    yield "more pixels claimed than held", png_claiming(100, 100)
    yield "no pixels", png_claiming(0, 5)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"):
        yield f"half a {kind}", cut(encoded(pixels(), kind))
    if features.check("avif"):
        yield "broken AVIF", broken_avif()


SEEDS: dict[str, Callable[[], bytes]] = {
    kind.lower(): (lambda kind=kind: encoded(pixels(), kind))  # type: ignore[misc]
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "ICO", "AVIF", "JPEG2000", "TGA", "PCX")
}
"""Name of a format -> function that returns a whole photo of it, from which a fuzz starts."""
