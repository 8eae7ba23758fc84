"""The mask-classification student: M2FP with a light pixel decoder and few transformer layers."""

from typing import Any

from torch import Tensor, nn

from m2fp_kd.models.backbones import Backbone
from m2fp_kd.models.fpn import FPNDecoder
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.normalise import Normalise
from m2fp_kd.models.outputs import StudentOutput, log_parts
from m2fp_kd.models.transformer_decoder import TransformerDecoder


class M2FPStudent(nn.Module):
    """Mask-classification student, whose queries separate persons.

    Args:
        backbone: backbone with features at strides 4, 8, 16, 32.
        num_parts: P, background included.
        has_human: whether the label set has M2FP's `Human` class after the parts.
        width: channels of the pixel decoder, the queries and the mask features.
        queries: number of queries.
        layers: number of layers of the transformer decoder, which use strides 32, 16 and 8 in turn; with two layers the
            costly stride 8 is not used.
        heads: number of attention heads.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_parts: int,
        has_human: bool,
        width: int = 128,
        queries: int = 100,
        layers: int = 2,
        heads: int = 8,
    ) -> None:
        super().__init__()
        self.num_parts = num_parts
        self.normalise = Normalise()
        self.backbone = backbone
        self.pixel_decoder = FPNDecoder(backbone.channels, width)
        self.mask_features = nn.Conv2d(width, width, 1)
        # The feed-forward is 8 times as wide as the queries, as in M2FP, so that M2FP's layers can initialise it.
        self.transformer_decoder = TransformerDecoder(
            num_parts + has_human, width, width, queries, layers, heads, feedforward=8 * width
        )

    def forward(self, images: Tensor) -> StudentOutput:
        """Predict queries and their part distribution; predictions of earlier layers are added in training only.

        Args:
            images: (B, 3, H, W) RGB 0..255, uint8 or float; H and W multiples of 32.
        """
        finest, *levels = self.pixel_decoder(self.backbone(self.normalise(images)))
        output = self.transformer_decoder(levels[::-1], self.mask_features(finest), auxiliary=self.training)
        return StudentOutput(log_parts(output, self.num_parts), queries=output, features=output.mask_features)


def head_of(teacher: M2FP) -> dict[str, int]:
    """Return width, queries and heads of a teacher's transformer decoder as arguments of `M2FPStudent`."""
    decoder: Any = teacher.transformer_decoder
    queries, width = decoder.query_features.shape
    return {"width": width, "queries": queries, "heads": decoder.layers[0].cross_attention.heads}


def copy_head(student: M2FPStudent, teacher: M2FP) -> int:
    """Initialise a student's transformer decoder with the teacher's tensors of the same name and shape.

    A student with fewer layers gets the teacher's first ones, because every layer of an M2FP is trained to predict.

    Returns:
        The number of copied tensors.
    """
    ours, theirs = student.transformer_decoder.state_dict(), teacher.transformer_decoder.state_dict()
    shared = {name: theirs[name] for name in ours if name in theirs and theirs[name].shape == ours[name].shape}
    student.transformer_decoder.load_state_dict(shared, strict=False)
    return len(shared)
