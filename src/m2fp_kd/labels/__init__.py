"""Label sets, and bridges between them."""

from m2fp_kd.labels.bridge import Bridge, find_bridge
from m2fp_kd.labels.colours import PAPER, distinct_colours
from m2fp_kd.labels.sets import LABEL_SETS, LabelSet, load_label_set

__all__ = ["LABEL_SETS", "PAPER", "Bridge", "LabelSet", "distinct_colours", "find_bridge", "load_label_set"]
