"""The JSON answer for a photo."""

import base64
import io
import zlib
from collections.abc import Collection
from typing import Any

from PIL import Image

from m2fp_kd.runtime.files import index_image
from m2fp_kd.runtime.formats import rle
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.serve.errors import ApiError

RETURNS = ("map", "masks", "rle", "mosaic")


def wanted(text: str) -> frozenset[str]:
    """Parse the query ``return=``: members of `RETURNS`, separated by commas, or "all".

    Raises:
        ApiError: a name is unknown.
    """
    names = frozenset(filter(None, text.split(",")))
    if unknown := sorted(names - {*RETURNS, "all"}):
        raise ApiError(
            400, "bad_request", f"There is no return={unknown[0]}; choose from {', '.join(RETURNS)} and all."
        )
    return frozenset(RETURNS) if "all" in names else names


def answer(
    mode: str, model: str, parsing: Parsing, timings: dict[str, float], wants: Collection[str]
) -> dict[str, Any]:
    """Return the JSON object for one photo.

    Args:
        mode: mode of the model that parsed it.
        model: id of that model in `/api/models`.
        parsing: result for the photo.
        timings: milliseconds by step.
        wants: members of `RETURNS` to include.
    """
    result: dict[str, Any] = {
        "mode": mode,
        "model": model,
        "size": list(parsing.part_map.shape),
        "parts": [
            {
                "index": part.index,
                "name": part.name,
                "colour": list(part.colour),
                "area": part.area,
                "share": part.share,
                "box": list(part.box),
                "score": part.score,
            }
            | ({"mask": _text(_png(Image.fromarray(part.mask)))} if "masks" in wants else {})
            | ({"rle": rle(part.mask)} if "rle" in wants else {})
            for part in parsing.parts
        ],
        "people": {
            "kind": parsing.people_kind,
            "found": [
                {"box": list(person.box), "score": person.score, "area": person.area}
                | ({"rle": rle(person.mask)} if "rle" in wants else {})
                for person in parsing.people
            ],
        },
        "timings_ms": {step: round(value, 3) for step, value in timings.items()},
    }
    if "map" in wants:
        result["map"] = _text(_png(index_image(parsing.part_map, parsing.labels)))
    if "mosaic" in wants:
        buffer = io.BytesIO()
        parsing.mosaic().save(buffer, "JPEG", quality=90, subsampling=0)
        result["mosaic"] = _text(buffer.getvalue())
    return result


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # Run lengths are zlib's fastest strategy; on part maps the files are a third smaller than the default's at level 1.
    image.save(buffer, "PNG", compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
