"""How well persons and their parts are told apart: APr, APp, APvol and PCP.

Truths are the persons of a photo (person ids) and the parts of each; predictions are ranked by score over all photos.
A prediction claims the truth that it overlaps most, where the overlap (IoU) is above a threshold, and is right if no
better-scored one has claimed that truth: VOC's rule, which the papers take over. AP is the area under the
precision-recall curve whose precision is made to fall monotonically (VOC 2010 and later; COCO samples the same curve
at 101 recalls).

* **APr**, region (Hariharan et al. 2014, https://arxiv.org/abs/1407.1808, for parts of persons in Gong et al. 2018,
  https://arxiv.org/abs/1808.00157): AP of the regions of each part, one region being one part of one person, then the
  mean over the parts, background left out. `APr` itself is the mean over the thresholds 0.1, 0.2, ... 0.9.
* **APp**, part (Li et al. 2017, https://arxiv.org/abs/1705.07206; Zhao et al. 2018, https://arxiv.org/abs/1804.03287):
  AP of whole persons, whose overlap is the mean IoU of their parts. As in the authors' evaluator that mean runs over
  the parts that either side has, the background around the person included, which is easy: two persons without one
  pixel in common can overlap by 0.1 and more. `APvol` is the mean over the nine thresholds.
* **PCP** (same papers): of each true person, the share of his parts whose IoU with the prediction that rightly claims
  him is above the threshold; 0 for a person whom nobody found; the mean over all true persons, background left out.

Pixels whose part is not known (ignore index) count on neither side. Persons without one known part are left out.

**Variant "m2fp"** is what M2FP's evaluator (https://github.com/soeaver/M2FP, `m2fp/evaluation`) makes of the same
predictions, for comparing with figures published with it. It differs in this:

1. APr does not mark a truth as claimed (nor does the CIHP evaluator of Gong et al. that it follows): every further
   region on the same truth is right as well, so that APr is higher, in theory above 1.
2. A part that no true person has counts as APr 0 if it was never predicted; here such a part never counts.
3. Persons without one known part are counted, and missed.

It is not reproduced that its unknown pixels count as background outside the person who holds them; CIHP, MHP-v2 and
PASCAL-Person-Part have none.
"""

from m2fp_kd.evaluation.metrics.instances.found import Found, FoundPerson, FoundRegion, found_in
from m2fp_kd.evaluation.metrics.instances.metrics import InstanceMetrics

__all__ = ["Found", "FoundPerson", "FoundRegion", "InstanceMetrics", "found_in"]
