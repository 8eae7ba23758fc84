"""Outputs of the networks, and the part distribution of a mask-classification output."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

# Lower bound of the shifted sum before the logarithm, which keeps values and gradients finite in float32.
_FLOOR = 1e-30


@dataclass
class M2FPOutput:
    """Predictions of a mask-classification network.

    Attributes:
        class_logits: (B, Q, C + 1); the last column is "no object".
        mask_logits: (B, Q, H/4, W/4), before the sigmoid.
        auxiliary: (class_logits, mask_logits) of every earlier prediction, first to last; empty if not computed.
        mask_features: (B, D, H/4, W/4), features that the mask embeddings are multiplied with.
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
        queries: mask-classification output that `part_logits` derive from, if there is one.
        features: (B, D, H/4, W/4), features at stride 4, for feature distillation.
    """

    part_logits: Tensor
    queries: M2FPOutput | None = None
    features: Tensor | None = None


def log_parts(output: M2FPOutput, num_parts: int) -> Tensor:
    """Return the log of the part distribution of a mask-classification output.

    p(part c at pixel x) is proportional to sum_q softmax(class_logits_q)_c * sigmoid(mask_logits_q(x)), the semantic
    inference of MaskFormer (Cheng et al. 2021, section 3.4), with "no object" and `Human` dropped before the sum and
    the rest normalised over the parts. Computed in float32; differentiable, and finite for any finite logits.

    Args:
        output: predictions.
        num_parts: P; the first P columns of `class_logits` are the parts.

    Returns:
        (B, P, H/4, W/4) log-probabilities.

    Raises:
        ValueError: there are not more class logits than parts.
    """
    if not 0 < num_parts < output.class_logits.shape[-1]:
        raise ValueError(
            f"num_parts={num_parts} does not fit {output.class_logits.shape[-1]} class logits (the last is no object)"
        )
    with torch.autocast(output.class_logits.device.type, enabled=False):
        classes = F.log_softmax(output.class_logits.float(), dim=-1)[..., :num_parts]
        masks = F.logsigmoid(output.mask_logits.float())
        # Log-sum-exp over queries as one product: shift classes and masks by the maximum over queries. The shift of a
        # pixel is the same for all parts, so the normalisation removes it.
        class_shift = classes.detach().amax(dim=1, keepdim=True)
        mask_shift = masks.detach().amax(dim=1, keepdim=True)
        sums = torch.einsum("bqc,bqhw->bchw", (classes - class_shift).exp(), (masks - mask_shift).exp())
        scores = sums.clamp_min(_FLOOR).log() + class_shift.transpose(1, 2).unsqueeze(-1)
        return F.log_softmax(scores, dim=1)


def as_student_output(output: StudentOutput | M2FPOutput, num_parts: int) -> StudentOutput:
    """Return an M2FP's output as a student's, so that an M2FP can be trained and exported like a student."""
    if isinstance(output, StudentOutput):
        return output
    return StudentOutput(log_parts(output, num_parts), queries=output, features=output.mask_features)
