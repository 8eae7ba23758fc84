"""COCO annotations of a photo: one for each part, and where there are persons one for each part of a person."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.arrays import bounding_box
from m2fp_kd.runtime.formats import rle
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.persons import person_ids
from m2fp_kd.runtime.polygons import keyholes, polygons


def categories(labels: LabelSet) -> list[dict[str, Any]]:
    """Return the categories of a label set; a category's id is the part's index, and background has none."""
    return [{"id": index, "name": part, "supercategory": "person"} for index, part in enumerate(labels.parts) if index]


def licences(licence: str | None) -> list[dict[str, Any]]:
    """Return the list of licences: that of the annotations, if it is known. No image has it; it is not the photos'."""
    return [{"id": 1, "name": licence, "url": ""}] if licence else []


def annotations(parsing: Parsing, as_polygons: bool = False) -> Iterator[dict[str, Any]]:
    """Yield a photo's annotations without `id` and `image_id`.

    Together they cover all pixels of parts, each once. A pixel that lies in several persons belongs to the best of
    them. Pixels of a part that lie in no person have an annotation of their own.

    Args:
        parsing: result for the photo.
        as_polygons: give simplified polygons, for programs that read no run lengths, which are exact. Holes are
            reached by lines of no width.
    """
    ids = person_ids(parsing.persons, parsing.part_map) if parsing.persons else None
    for part in parsing.parts:
        left, top, right, bottom = part.box
        window = slice(top, bottom), slice(left, right)
        mask = parsing.part_map[window] == part.index
        owners = np.zeros(mask.shape, np.uint8) if ids is None else ids[window]
        for owner in np.unique(owners[mask]).tolist():
            found = _annotation(mask & (owners == owner), (top, left), parsing.part_map.shape, as_polygons)
            found |= {"category_id": part.index, "score": 1.0 if part.score is None else part.score}
            yield found | ({"person_id": owner} if owner else {})


def _annotation(mask: np.ndarray, at: tuple[int, int], size: tuple[int, ...], as_polygons: bool) -> dict[str, Any]:
    """Return place and shape of a mask, a window of a photo that begins at a row and a column."""
    left, top, right, bottom = bounding_box(mask)
    inside, at = mask[top:bottom, left:right], (at[0] + top, at[1] + left)
    shape = (
        [keyholes(polygon).ravel().tolist() for polygon in polygons(inside, at)]
        if as_polygons
        else rle(inside, at, (size[0], size[1]))
    )
    return {
        "segmentation": shape,
        "bbox": [at[1], at[0], right - left, bottom - top],
        "area": int(inside.sum()),
        "iscrowd": 0,
    }
