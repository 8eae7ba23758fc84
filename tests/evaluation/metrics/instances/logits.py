"""Hand-made parsings with the mask-classification logits that produce them."""

from collections.abc import Sequence

import numpy as np

from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.geometry import Placement
from m2fp_kd.runtime.parsing import Parsing

LABELS = LabelSet("tiny", ("background", "head", "torso"), ((0, 0, 0), (9, 0, 0), (0, 9, 0)), has_human=True)
HUMAN = LABELS.num_parts
SURE = 30.0
"""A mask logit with probability 1 in float32."""


def parsing_of(instances: Sequence[tuple[int, float, np.ndarray]], part_map: np.ndarray) -> Parsing:
    """Return a parsing of persons with one query per instance, given as class, score and mask, bool (H, W)."""
    class_logits = np.full((len(instances), HUMAN + 2), -SURE, np.float32)
    mask_logits = np.empty((len(instances), *part_map.shape), np.float32)
    for query, (category, score, mask) in enumerate(instances):
        class_logits[query, category], class_logits[query, -1] = np.log(score), np.log1p(-score)
        mask_logits[query] = np.where(mask, SURE, -SURE)
    placement = Placement(part_map.shape, part_map.shape, part_map.shape)
    outputs = {"class_logits": class_logits, "mask_logits": mask_logits}
    photo = np.zeros((*part_map.shape, 3), np.uint8)
    return Parsing(photo, part_map, LABELS, "persons", {}, placement, outputs)
