"""Label sets, and the bridges and part sets between them."""

from m2fp_kd.labels.bridge import Bridge, find_bridge
from m2fp_kd.labels.colours import PAPER, distinct_colours
from m2fp_kd.labels.part_sets import PartSets, find_part_sets
from m2fp_kd.labels.sets import LABEL_SETS, LabelSet, load_label_set

__all__ = [
    "LABEL_SETS",
    "PAPER",
    "Bridge",
    "LabelSet",
    "PartSets",
    "distinct_colours",
    "find_bridge",
    "find_part_sets",
    "load_label_set",
]
