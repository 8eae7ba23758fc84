"""A photo's result as plain numbers: parts, persons, boxes, areas and scores; the service and the files share it."""

from typing import Any

from m2fp_kd.runtime.formats import Found
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.polygons import polygons


def described(parsing: Parsing) -> dict[str, Any]:
    """Return the size of a photo, its parts, and its persons or regions, as JSON writes them."""
    return {
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
            for part in parsing.parts
        ],
        "people": {
            "kind": parsing.people_kind,
            "found": [
                {"box": list(person.box), "score": person.score, "area": person.area} for person in parsing.people
            ],
        },
    }


def outlines(found: Found) -> list[list[list[list[int]]]]:
    """Return the polygons of a part, person or region: of each the rings, of each ring the points (x, y)."""
    left, top, right, bottom = found.box
    traced = polygons(found.mask[top:bottom, left:right], (top, left))
    return [[ring.tolist() for ring in polygon] for polygon in traced]
