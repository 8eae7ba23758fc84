"""What was found in a photo as others expect it: ModelScope's M2FP pipeline, COCO results."""

from typing import Any

import numpy as np

from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.persons import instances

LEAST_SCORE = 0.1
"""Instances below are left out, as ModelScope's M2FP does."""


def to_modelscope(parsing: Parsing) -> dict[str, list[Any]]:
    """What ModelScope's M2FP pipeline returns, so that code around it need not change.

    An artefact that tells persons apart gives instances, as M2FP's multi-person models do: every part of every person,
    then every person under the label "Human". Any other gives one mask per part present, background included, as M2FP's
    single-person model does.

    Returns:
        "labels" (names), "scores" (0..1) and "masks", float32 (H, W) of 0 and 1, in the same order.
    """
    if parsing.people_kind == "persons":
        size, human = parsing.placement.source, parsing.labels.num_parts
        names = [*parsing.labels.parts, "Human"]
        logits = parsing.outputs["class_logits"], parsing.outputs["mask_logits"]
        found = list(instances(*logits, parsing.placement, range(1, human + 1), LEAST_SCORE))
        ordered = [one for one in found if one.category < human] + [one for one in found if one.category == human]
        rows = [(names[one.category], one.score, one.mask(size)) for one in ordered]
    else:
        scores = parsing.part_scores
        present = np.flatnonzero(np.bincount(parsing.part_map.ravel()))
        rows = [(parsing.labels.parts[i], scores.get(int(i), 1.0), parsing.part_map == i) for i in present]
    return {
        "labels": [name for name, _, _ in rows],
        "scores": [score for _, score, _ in rows],
        "masks": [mask.astype(np.float32) for _, _, mask in rows],
    }


def to_coco(parsing: Parsing, image_id: int = 0) -> list[dict[str, Any]]:
    """COCO results with run-length masks that `pycocotools` reads: the parts, then the people.

    Args:
        image_id: of the photo, in every result.

    Returns:
        `image_id`, `category_id` (the part's index; P, the number of parts, for people), `category`, `segmentation`,
        `bbox` (x, y, width, height), `area` and `score` (1 where there is none).
    """
    rows = [(part.index, part.name, part.mask, part.box, part.score) for part in parsing.parts]
    human = parsing.labels.num_parts
    name = {"persons": "Human", "regions": "region"}[parsing.people_kind]
    rows += [(human, name, person.mask, person.box, person.score) for person in parsing.people]
    return [
        {
            "image_id": image_id,
            "category_id": index,
            "category": name,
            "segmentation": rle(mask),
            "bbox": [left, top, right - left, bottom - top],
            "area": int(mask.sum()),
            "score": 1.0 if score is None else score,
        }
        for index, name, mask, (left, top, right, bottom), score in rows
    ]


def rle(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run-length encoding of a bool mask (H, W): runs down the columns, zeros first.

    A run is written as its difference to the run two before (from the fourth on), five bits a character, lowest first.
    """
    pixels = np.concatenate([[False], mask.ravel(order="F"), [not mask[-1, -1]]])
    edges = np.flatnonzero(pixels[1:] != pixels[:-1])
    runs = np.diff(edges, prepend=0).tolist()
    text = []
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text.append(chr(bits + 32 * more + 48))
            if not more:
                break
    return {"size": list(mask.shape), "counts": "".join(text)}
