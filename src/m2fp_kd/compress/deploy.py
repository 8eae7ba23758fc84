"""The network as it is shipped: a uint8 canvas in, a part map out, everything between in one graph."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OUTPUTS = {"fpn": ("part_map",), "m2fp": ("part_map", "class_logits", "mask_logits")}
"""Names of the outputs, in order, by the student's head."""

OUTPUT_STRIDE = 4


class Deployable(nn.Module):
    """A student with all that surrounds it at run time.

    Part logits are upsampled to the canvas before the argmax. That is the accurate order, and it costs: with 20 parts
    at 512x512 and a MobileNetV3, 7 of 30 ms in ONNX Runtime, 14 of 37 ms in OpenVINO's f32 and 4 of 16 ms in its bf16
    arithmetic. The normalisation stays the student's own layer: folded into a zero-padded first convolution it would
    change the borders.

    Args:
        student: maps RGB images 0..255 (N, 3, H, W) to a `StudentOutput`.
        head: a key of `OUTPUTS`.
    """

    def __init__(self, student: nn.Module, head: str) -> None:
        super().__init__()
        if head not in OUTPUTS:
            raise ValueError(f"unknown student head {head!r}; choose one of {', '.join(OUTPUTS)}")
        self.student = student
        self.outputs = OUTPUTS[head]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Parse canvases.

        Args:
            images: uint8 (N, H, W, 3) RGB; H and W multiples of 32.

        Returns:
            The tensors named by `outputs`: part_map uint8 (N, H, W), class_logits (N, Q, C + 1),
            mask_logits (N, Q, H/4, W/4).
        """
        output = self.student(images.permute(0, 3, 1, 2))
        logits = F.interpolate(output.part_logits, scale_factor=OUTPUT_STRIDE, mode="bilinear", align_corners=False)
        part_map = logits.argmax(dim=1).to(torch.uint8)
        if len(self.outputs) == 1:
            return (part_map,)
        return part_map, output.queries.class_logits, output.queries.mask_logits
