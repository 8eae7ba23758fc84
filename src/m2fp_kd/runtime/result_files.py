"""Files of a photo's result. Each is written whole or not at all, and records what it was made from."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from m2fp_kd.runtime.coco import annotations
from m2fp_kd.runtime.described import described, outlines
from m2fp_kd.runtime.files import MADE_FROM, RUNS, atomic_folder, atomic_path, read_made_from, write_index_png
from m2fp_kd.runtime.formats import Found
from m2fp_kd.runtime.names import safe
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.photo_file import open_image

MASKS = "masks.json"
"""File in a folder of masks that says which mask is which."""

Writer = Callable[[Path, Parsing, str], None]
"""Write a result to a path, with what it was made from."""


def recorded(path: Path) -> str | None:
    """Return what a result was made from; None where it says nothing, is broken, or does not exist."""
    if path.suffix == ".png":
        return read_made_from(path)
    try:
        if path.suffix == ".jpg":
            with open_image(path, ("JPEG",)) as image:
                return image.info.get("comment", b"").decode()
        if path.suffix == ".jsonl":
            with path.open(encoding="utf-8") as lines:
                return json.loads(lines.readline()).get(MADE_FROM)
        file = path if path.suffix == ".json" else path / MASKS
        return json.loads(file.read_text(encoding="utf-8")).get(MADE_FROM)
    except (OSError, SyntaxError, ValueError, AttributeError):
        return None


def write_map(path: Path, parsing: Parsing, made_from: str) -> None:
    """Write the part map as a palette PNG."""
    write_index_png(path, parsing.part_map, parsing.labels, made_from)


def write_mosaic(path: Path, parsing: Parsing, made_from: str) -> None:
    """Write the photo beside its parts as a JPEG."""
    with atomic_path(path) as temporary:
        parsing.mosaic().save(temporary, quality=90, subsampling=0, comment=made_from)


def write_json(path: Path, parsing: Parsing, made_from: str) -> None:
    """Write parts, persons, boxes, areas and scores."""
    _write_json(path, about(parsing, made_from) | described(parsing))


def write_polygons(path: Path, parsing: Parsing, made_from: str) -> None:
    """Write the polygons of the parts, and of the persons or regions."""
    parts = [{"index": one.index, "name": one.name, "polygons": outlines(one)} for one in parsing.parts]
    people = {"kind": parsing.people_kind, "found": [{"polygons": outlines(one)} for one in parsing.people]}
    size = {"size": list(parsing.part_map.shape)}
    _write_json(path, about(parsing, made_from) | size | {"parts": parts, "people": people})


def write_masks(path: Path, parsing: Parsing, made_from: str) -> None:
    """Write a folder with a PNG of one bit a pixel for each part and person, and `MASKS`, which lists them."""
    files: list[tuple[dict[str, Any], Found]] = [
        ({"file": f"{one.index:03}_{safe(one.name)}.png", "index": one.index, "name": one.name}, one)
        for one in parsing.parts
    ]
    files += [
        ({"file": f"person_{number:03}.png", "person": number}, one) for number, one in enumerate(parsing.persons, 1)
    ]
    with atomic_folder(path) as folder:
        for facts, one in files:
            Image.fromarray(one.mask).save(folder / facts["file"], format="PNG", compress_type=RUNS)
        _write_json(folder / MASKS, about(parsing, made_from) | {"masks": [facts for facts, _ in files]})


def write_confidence(path: Path, parsing: Parsing, made_from: str) -> None:
    """Write the probability of each pixel's part, 0..1 as 0..255, as a grey PNG."""
    texts = PngInfo()
    texts.add_text(MADE_FROM, made_from)
    with atomic_path(path) as temporary:
        Image.fromarray(parsing.confidence()).save(temporary, format="PNG", pnginfo=texts, compress_level=1)


def write_coco(path: Path, parsing: Parsing, made_from: str, as_polygons: bool = False) -> None:
    """Write the size of the photo, then a line for each of its COCO annotations."""
    height, width = parsing.part_map.shape
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as lines:
        lines.write(json.dumps({MADE_FROM: made_from, "height": height, "width": width}) + "\n")
        lines.writelines(json.dumps(one) + "\n" for one in annotations(parsing, as_polygons))


WRITERS: dict[str, Writer] = {
    "map": write_map,
    "mosaic": write_mosaic,
    "json": write_json,
    "masks": write_masks,
    "polygons": write_polygons,
    "confidence": write_confidence,
    "coco": write_coco,
    "coco-polygons": partial(write_coco, as_polygons=True),
}
"""Kind of a result -> its writer."""


def about(parsing: Parsing, made_from: str) -> dict[str, Any]:
    """Return the origin, label set and licence of a result, which stand in each file of JSON."""
    return {MADE_FROM: made_from, "labels": parsing.labels.name, "licence": parsing.licence}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
