"""Instance metrics, which score how well persons and their parts are separated: APr, APp, APvol and PCP.

The ground truth is the persons of a photo (person ids) and the parts of each; predictions are ranked by score over all
photos. A prediction claims the true instance that it overlaps most, if the overlap (IoU) is above a threshold, and is
correct if no prediction with a higher score has claimed that instance: the rule of VOC, which the papers adopt. AP is
the area under the precision-recall curve whose precision is made monotonically decreasing (VOC 2010 and later; COCO
samples the same curve at 101 recalls).

* **APr**, region (Hariharan et al. 2014, https://arxiv.org/abs/1407.1808; applied to parts of persons by Gong et al.
  2018, https://arxiv.org/abs/1808.00157): AP of the regions of each part, where a region is one part of one person,
  averaged over the parts without background. `APr` itself is the mean over the thresholds 0.1, 0.2, ... 0.9.
* **APp**, part (Li et al. 2017, https://arxiv.org/abs/1705.07206; Zhao et al. 2018, https://arxiv.org/abs/1804.03287):
  AP of whole persons, whose overlap is the mean IoU of their parts. As in the authors' evaluator, the mean is over the
  parts that either side has and includes the background around the person, which is easy: two persons without a
  common pixel can overlap by 0.1 or more. `APvol` is the mean over the nine thresholds.
* **PCP** (same papers): the share of a true person's parts whose IoU with the prediction that correctly claims the
  person is above the threshold; 0 for a person that no prediction claims; averaged over all true persons, without
  background.

Pixels whose part is unknown (ignore index) count on neither side. Persons without a known part are left out.

**Variant "m2fp"** reproduces M2FP's evaluator (https://github.com/soeaver/M2FP, `m2fp/evaluation`) on the same
predictions, to compare with figures published with it. It differs in three points:

1. APr does not mark an instance as claimed (nor does the CIHP evaluator of Gong et al. that it follows): every further
   region on the same instance counts as correct too, so APr is higher, in theory above 1.
2. A part that no true person has counts as APr 0 if it was never predicted; here such a part never counts.
3. Persons without a known part are counted, as missed.

One behaviour is not reproduced: M2FP's evaluator counts unknown pixels as background outside the person that holds
them. CIHP, MHP-v2 and PASCAL-Person-Part have no such pixels.
"""

from m2fp_kd.evaluation.metrics.instances.found import Found, FoundPerson, FoundRegion, found_in
from m2fp_kd.evaluation.metrics.instances.metrics import InstanceMetrics

__all__ = ["Found", "FoundPerson", "FoundRegion", "InstanceMetrics", "found_in"]
