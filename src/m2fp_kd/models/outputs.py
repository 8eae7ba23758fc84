"""What the networks return, and the way from mask classification to a part distribution."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

# Smallest shifted sum whose logarithm is taken: it keeps values and gradients finite in float32.
_FLOOR = 1e-30


@dataclass
class M2FPOutput:
    """Predictions of a mask-classification network.

    Attributes:
        class_logits: (B, Q, C + 1); the last column is "no object".
        mask_logits: (B, Q, H/4, W/4), before the sigmoid.
        auxiliary: (class_logits, mask_logits) of every earlier prediction, first to last; empty where not computed.
        mask_features: (B, D, H/4, W/4), the features that the mask embeddings are multiplied with.
    """

    class_logits: Tensor
    mask_logits: Tensor
    auxiliary: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    mask_features: Tensor | None = None


@dataclass
class StudentOutput:
    """Predictions of a student.

    Attributes:
        part_logits: (B, P, H/4, W/4), logits over the parts (for a mask-classification student, its log parts).
        queries: the mask-classification output behind `part_logits`, if there is one.
        features: (B, D, H/4, W/4) stride-4 features, for feature distillation.
    """

    part_logits: Tensor
    queries: M2FPOutput | None = None
    features: Tensor | None = None


def log_parts(output: M2FPOutput, num_parts: int) -> Tensor:
    """Log of the part distribution that a mask-classification output stands for.

    p(part c at pixel x) is proportional to sum_q softmax(class_logits_q)_c * sigmoid(mask_logits_q(x)), the semantic
    inference of MaskFormer (Cheng et al. 2021, section 3.4), with "no object" and `Human` dropped before the sum and
    the rest normalised over the parts. Computed in float32; differentiable and finite for any finite logits.

    Args:
        output: the predictions.
        num_parts: P; the first P columns of `class_logits` are the parts.

    Returns:
        (B, P, H/4, W/4) log-probabilities.
    """
    if not 0 < num_parts < output.class_logits.shape[-1]:
        raise ValueError(
            f"num_parts={num_parts} does not fit {output.class_logits.shape[-1]} class logits (which end in no-object)"
        )
    with torch.autocast(output.class_logits.device.type, enabled=False):
        classes = F.log_softmax(output.class_logits.float(), dim=-1)[..., :num_parts]
        masks = F.logsigmoid(output.mask_logits.float())
        # log-sum-exp over queries as one product: shift classes by their best query and masks by their best query.
        # The shift of a pixel is the same for all parts, so the normalisation removes it.
        class_shift = classes.detach().amax(dim=1, keepdim=True)
        mask_shift = masks.detach().amax(dim=1, keepdim=True)
        sums = torch.einsum("bqc,bqhw->bchw", (classes - class_shift).exp(), (masks - mask_shift).exp())
        scores = sums.clamp_min(_FLOOR).log() + class_shift.transpose(1, 2).unsqueeze(-1)
        return F.log_softmax(scores, dim=1)


def as_student_output(output: StudentOutput | M2FPOutput, num_parts: int) -> StudentOutput:
    """View an M2FP's output as a student's, so that it trains and is exported as one."""
    if isinstance(output, StudentOutput):
        return output
    return StudentOutput(log_parts(output, num_parts), queries=output, features=output.mask_features)
