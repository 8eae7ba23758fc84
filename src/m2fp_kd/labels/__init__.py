"""Label sets, and the bridges, part sets and translations between them."""

from m2fp_kd.labels.bridge import Bridge, find_bridge
from m2fp_kd.labels.colours import PAPER, distinct_colours
from m2fp_kd.labels.part_sets import PartSets, find_part_sets
from m2fp_kd.labels.sets import LABEL_SETS, LabelSet, load_label_set
from m2fp_kd.labels.translation import Translation, find_translation, targets

__all__ = [
    "LABEL_SETS",
    "PAPER",
    "Bridge",
    "LabelSet",
    "PartSets",
    "Translation",
    "distinct_colours",
    "find_bridge",
    "find_part_sets",
    "find_translation",
    "load_label_set",
    "targets",
]
