"""The network as it is shipped: a uint8 canvas in, a part map out, everything between in one graph."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.models.attention import Attention, DeformableAttention
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.outputs import M2FPOutput, StudentOutput, log_parts
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.geometry import STRIDE, Geometry
from m2fp_kd.runtime.part_map import STRIDE as LOGIT_STRIDE

OUTPUTS = {
    "fpn": ("part_map", "part_logits"),
    "m2fp": ("part_map", "part_logits", "class_logits", "mask_logits"),
}
"""Names of the outputs, in order, by the network's head."""


class Deployable(nn.Module):
    """A student with all that surrounds it at run time.

    Part logits are upsampled to the canvas before the argmax. That is the accurate order, and it costs: with 20 parts
    at 512x512 and a MobileNetV3, 7 of 30 ms in ONNX Runtime, 14 of 37 ms in OpenVINO's f32 and 4 of 16 ms in its bf16
    arithmetic. Our runtime takes the logits at stride 4 instead (`runtime.part_map`), and engines then leave these
    operations out. The normalisation stays the student's own layer: folded into a zero-padded first convolution it
    would change the borders.

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
            The tensors named by `outputs`: part_map uint8 (N, H, W), part_logits (N, P, H/4, W/4),
            class_logits (N, Q, C + 1), mask_logits (N, Q, H/4, W/4).
        """
        output = self.student(images.permute(0, 3, 1, 2))
        queries, part_logits = output.queries, output.part_logits
        if queries is not None:
            part_logits = part_scores(queries, part_logits.shape[1])
        logits = F.interpolate(part_logits, scale_factor=LOGIT_STRIDE, mode="bilinear", align_corners=False)
        part_map = logits.argmax(dim=1).to(torch.uint8)
        if queries is None:
            return part_map, part_logits
        return part_map, part_logits, queries.class_logits, queries.mask_logits


class M2FPAsStudent(nn.Module):
    """An M2FP that answers as a mask-classification student does, so that it can be exported as one.

    Args:
        network: the M2FP.
        num_parts: P; the first P of its classes are the parts.
    """

    def __init__(self, network: M2FP, num_parts: int) -> None:
        super().__init__()
        self.network = network
        self.num_parts = num_parts

    def forward(self, images: Tensor) -> StudentOutput:
        """RGB images 0..255 (N, 3, H, W), H and W multiples of 32, to log parts and the queries behind them."""
        output = self.network(images, auxiliary=False)
        return StudentOutput(log_parts(output, self.num_parts), queries=output, features=output.mask_features)


class GridSampledAttention(nn.Module):
    """`DeformableAttention`, with the same weights, in operations that every format has: one `grid_sample` a level.

    The original looks its samples up with `embedding_bag`, which is faster in PyTorch, but becomes a loop in ONNX, and
    a traced table of one size answers wrongly at another. Sums are taken in another order: results agree to 1e-5.

    Tokens lie innermost throughout, as sampling wants them, and linear layers are convolutions of one pixel: OpenVINO
    takes longer to turn tokens round than to multiply them with the weights, but gives its convolutions either layout.
    """

    def __init__(self, attention: DeformableAttention) -> None:
        super().__init__()
        self.heads, self.levels, self.points = attention.heads, attention.levels, attention.points
        self.x_offsets = _pointwise(attention.sampling_offsets, slice(0, None, 2))
        self.y_offsets = _pointwise(attention.sampling_offsets, slice(1, None, 2))
        self.attention_weights = _pointwise(attention.attention_weights)
        self.value = _pointwise(attention.value)
        self.out = attention.out

    def forward(self, query: Tensor, value: Tensor, reference: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """As `DeformableAttention.forward`."""
        batch, tokens, _ = query.shape
        query, value = _as_map(query), _as_map(value)
        x_offsets, y_offsets, weights, values = (
            layer(of_tokens).reshape(batch * self.heads, -1, tokens)
            for layer, of_tokens in (
                (self.x_offsets, query),
                (self.y_offsets, query),
                (self.attention_weights, query),
                (self.value, value),
            )
        )
        x_offsets, y_offsets, weights = (  # by level
            of_places.split(self.points, dim=1) for of_places in (x_offsets, y_offsets, weights.softmax(1))
        )
        attended: Tensor | None = None  # not zeros: the ONNX exporter would take their batch for a constant
        maps = values.split([rows * columns for rows, columns in sizes], dim=2)
        for level, (rows, columns) in enumerate(sizes):
            x = reference[:, 0] + x_offsets[level] / columns
            y = reference[:, 1] + y_offsets[level] / rows
            grid = 2 * torch.stack([x, y], dim=-1) - 1  # grid_sample counts places from -1 to 1
            samples = F.grid_sample(maps[level].unflatten(2, (rows, columns)), grid, align_corners=False)
            of_level = (samples * weights[level].unsqueeze(1)).sum(2)
            attended = of_level if attended is None else attended + of_level
        assert attended is not None, "attention needs a level"
        return self.out(attended.view(batch, -1, tokens).transpose(1, 2))


def _as_map(tokens: Tensor) -> Tensor:
    """(B, S, D) tokens as a map of one column, (B, D, S, 1)."""
    return tokens.unsqueeze(2).permute(0, 3, 1, 2)


def _pointwise(layer: nn.Linear, rows: slice = slice(None)) -> nn.Conv2d:
    """A linear layer, or the part of it that gives some of its outputs, as a convolution."""
    weight, bias = layer.weight.detach()[rows], layer.bias.detach()[rows]
    convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
    convolution.weight, convolution.bias = nn.Parameter(weight[:, :, None, None]), nn.Parameter(bias)
    return convolution


class SoftmaxAttention(nn.Module):
    """`Attention`, with the same weights, without the guards that `scaled_dot_product_attention` exports with.

    They are for rows that may look nowhere, which M2FP's masks do not have (`attended`), and cost three passes over
    every score. Keys and values come from convolutions, as in `GridSampledAttention`. Heads follow one another: the
    scores of one stay in the cache.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads = attention.heads
        self.query, self.out = attention.query, attention.out
        self.key, self.value = _pointwise(attention.key), _pointwise(attention.value)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attend: Tensor | None = None) -> Tensor:
        """As `Attention.forward`."""
        queries = self.query(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        keys, values = (
            layer(_as_map(tokens)).flatten(2).unflatten(1, (self.heads, -1))
            for layer, tokens in ((self.key, key), (self.value, value))
        )
        queries = queries * queries.shape[-1] ** -0.5
        hidden = None if attend is None else ~attend
        attended = []
        for head in range(self.heads):
            scores = queries[:, head] @ keys[:, head]
            if hidden is not None:
                scores = scores.masked_fill(hidden, -torch.inf)
            attended.append(scores.softmax(-1) @ values[:, head].transpose(1, 2))
        return self.out(torch.cat(attended, dim=-1))


EXPORTABLE = {DeformableAttention: GridSampledAttention, Attention: SoftmaxAttention}
"""What layers are replaced by."""


def part_scores(queries: M2FPOutput, num_parts: int) -> Tensor:
    """`log_parts` but for a constant at each pixel, which changes neither the largest part nor their softmax.

    Without the shifts that keep gradients finite, and without the normalisation: five passes over all masks less.

    Returns:
        (B, P, H/4, W/4).
    """
    assert queries.mask_features is not None, "a network's own output has its mask features"
    classes = queries.class_logits.float().softmax(-1)[..., :num_parts]
    masks = queries.mask_logits.float().flatten(2).sigmoid()
    # The exporter follows sizes back to the mask features, but not to the mask logits, which were flat before.
    sums = (classes.transpose(1, 2) @ masks).unflatten(2, queries.mask_features.shape[-2:])
    return sums.clamp_min(torch.finfo(torch.float32).tiny).log()


def deployable(network: nn.Module, card: Card) -> Deployable:
    """A copy of a student or an M2FP as it is shipped: on the CPU, in eval mode, made of operations that export.

    Args:
        network: a student, or an M2FP whose classes begin with the card's parts.
        card: says the head and, for an M2FP, the parts.
    """
    copied = copy.deepcopy(network).cpu().eval()
    if isinstance(copied, M2FP):
        copied = M2FPAsStudent(copied, card.labels.num_parts)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if type(child) in EXPORTABLE:
                setattr(module, name, EXPORTABLE[type(child)](child))
    return Deployable(copied, card.head).eval()


def example_canvases(geometry: Geometry) -> Tensor:
    """Canvases to trace with, uint8 (2, h, w, 3): the fixed size, or two different sides where sizes are dynamic."""
    height, width = (geometry.size, geometry.size) if geometry.fixed else (2 * STRIDE, 3 * STRIDE)
    return torch.zeros(2, height, width, 3, dtype=torch.uint8)
