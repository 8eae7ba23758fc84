import math

import pytest
import torch
from torch import nn

from m2fp_kd.models.attention import Attention, DeformableAttention, sine_positions
from m2fp_kd.models.transformer_decoder import attended

WIDTH, HEADS = 16, 4


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)


def test_attention_equals_multihead_attention_with_packed_weights() -> None:
    ours = Attention(WIDTH, HEADS)
    _randomise(ours)
    theirs = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    projections = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in projections]))
        theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in projections]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    query, key, value = torch.randn(2, 5, WIDTH), torch.randn(2, 7, WIDTH), torch.randn(2, 7, WIDTH)
    attend = torch.rand(2, 5, 7) > 0.5
    attend[..., 0] = True
    blocked = (~attend).repeat_interleave(HEADS, dim=0)
    torch.testing.assert_close(ours(query, key, value), theirs(query, key, value)[0])
    torch.testing.assert_close(ours(query, key, value, attend), theirs(query, key, value, attn_mask=blocked)[0])


def test_a_query_attends_only_inside_its_mask() -> None:
    attention = Attention(WIDTH, HEADS)
    query, key, value = torch.randn(1, 2, WIDTH), torch.randn(1, 3, WIDTH), torch.randn(1, 3, WIDTH)
    attend = torch.tensor([[[True, True, False], [True, True, True]]])
    changed = value.clone()
    changed[:, 2] += 1
    before, after = attention(query, key, value, attend), attention(query, key, changed, attend)
    torch.testing.assert_close(before[:, 0], after[:, 0])
    assert (before[:, 1] - after[:, 1]).abs().max() > 1e-3


def test_attended_is_the_mask_or_everything_if_the_mask_is_empty() -> None:
    logits = torch.tensor([[[1.0, -1.0, 0.0], [-1.0, -2.0, -3.0]]])
    assert attended(logits).tolist() == [[[True, False, True], [True, True, True]]]


def _reference_deformable(
    module: DeformableAttention, query: torch.Tensor, value: torch.Tensor, reference: torch.Tensor, sizes: list
) -> torch.Tensor:
    """Deformable attention by loops, following the paper's equation."""
    tokens, width = query.shape
    head_width = width // module.heads
    values = module.value(value).view(tokens, module.heads, head_width)
    offsets = module.sampling_offsets(query).view(tokens, module.heads, module.levels, module.points, 2)
    weights = module.attention_weights(query).view(tokens, module.heads, -1).softmax(-1)
    weights = weights.view(tokens, module.heads, module.levels, module.points)
    out = torch.zeros(tokens, module.heads, head_width)
    starts = [0]
    for height, width_ in sizes:
        starts.append(starts[-1] + height * width_)
    for t in range(tokens):
        for h in range(module.heads):
            for level, (height, width_) in enumerate(sizes):
                for k in range(module.points):
                    x = float(reference[t, 0] * width_ + offsets[t, h, level, k, 0]) - 0.5
                    y = float(reference[t, 1] * height + offsets[t, h, level, k, 1]) - 0.5
                    for row in (math.floor(y), math.floor(y) + 1):
                        for column in (math.floor(x), math.floor(x) + 1):
                            if 0 <= row < height and 0 <= column < width_:
                                share = (1 - abs(y - row)) * (1 - abs(x - column)) * weights[t, h, level, k]
                                out[t, h] += share * values[starts[level] + row * width_ + column, h]
    return module.out(out.flatten(1))


@torch.no_grad()
def test_deformable_attention_equals_its_equation() -> None:
    module = DeformableAttention(8, heads=2, levels=2, points=3)
    _randomise(module)
    module.sampling_offsets.bias.normal_(std=2)
    sizes = [(2, 3), (3, 4)]
    tokens = 18
    query, value, reference = torch.randn(2, tokens, 8), torch.randn(2, tokens, 8), torch.rand(tokens, 2)
    got = module(query, value, reference, sizes)
    for item in range(2):
        expected = _reference_deformable(module, query[item], value[item], reference, sizes)
        torch.testing.assert_close(got[item], expected, atol=1e-5, rtol=1e-4)


def test_deformable_attention_has_correct_gradients() -> None:
    module = DeformableAttention(4, heads=2, levels=2, points=2).double()
    _randomise(module)
    sizes = [(2, 2), (3, 4)]
    generator = torch.Generator().manual_seed(5)
    query, value, reference = (
        torch.rand(*shape, generator=generator, dtype=torch.float64) for shape in ((2, 16, 4), (2, 16, 4), (16, 2))
    )
    inputs = query.requires_grad_(), value.requires_grad_()
    assert torch.autograd.gradcheck(lambda q, v: module(q, v, reference, sizes), inputs)


@torch.no_grad()
def test_deformable_attention_starts_with_offsets_in_all_directions() -> None:
    module = DeformableAttention(32, heads=8, levels=3, points=4)
    offsets = module.sampling_offsets(torch.randn(1, 32)).view(8, 3, 4, 2)
    lengths = offsets.abs().amax(-1)
    torch.testing.assert_close(lengths, torch.arange(1.0, 5.0).expand(8, 3, 4))
    angles = torch.atan2(offsets[..., 1], offsets[..., 0]) % (2 * math.pi)
    torch.testing.assert_close(angles[:, 0, 0], torch.arange(8) * math.pi / 4, atol=1e-5, rtol=0)


def test_sine_positions_encode_y_then_x() -> None:
    height, width, channels = 3, 5, 8
    positions = sine_positions((height, width), channels, torch.device("cpu")).view(height, width, channels)
    y, x = 2 * math.pi * 2 / height, 2 * math.pi * 4 / width  # the pixel in row 1, column 3
    expected = [f(a / s) for a in (y, x) for s in (1, 100) for f in (math.sin, math.cos)]
    torch.testing.assert_close(positions[1, 3], torch.tensor(expected), atol=1e-5, rtol=0)


def test_indivisible_widths_are_errors() -> None:
    with pytest.raises(ValueError, match="width 10 is not a multiple of heads 4"):
        Attention(10, 4)
    with pytest.raises(ValueError, match="width 10 is not a multiple of heads 4"):
        DeformableAttention(10, 4, 3)
    with pytest.raises(ValueError, match="multiple of 4 channels"):
        sine_positions((2, 2), 6, torch.device("cpu"))
