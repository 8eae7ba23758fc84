import torch
from torch import nn

from m2fp_kd.compress.export.attention import GridSampledAttention, SoftmaxAttention
from m2fp_kd.models.attention import Attention, DeformableAttention


def test_grid_sampled_attention_equals_deformable_attention_even_outside_the_map() -> None:
    torch.manual_seed(0)
    attention = DeformableAttention(16, 4, 2)
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=0.5)
    sizes = [(3, 5), (6, 10)]
    tokens, reference = torch.randn(2, 75, 16), torch.rand(75, 2)
    with torch.no_grad():
        attention.sampling_offsets.bias.normal_(std=4)  # far beyond the border of every map
        expected = attention(tokens, tokens, reference, sizes)
        found = GridSampledAttention(attention)(tokens, tokens, reference, sizes)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_attention_without_guards_equals_attention() -> None:
    torch.manual_seed(0)
    attention = Attention(16, 4).eval()
    queries, keys, values = torch.randn(2, 5, 16), torch.randn(2, 9, 16), torch.randn(2, 9, 16)
    attend = torch.rand(2, 5, 9) < 0.3
    attend[..., 0] = True
    with torch.no_grad():
        for mask in (None, attend):
            found = SoftmaxAttention(attention)(queries, keys, values, mask)
            torch.testing.assert_close(found, attention(queries, keys, values, mask), atol=1e-6, rtol=1e-5)


def test_weights_are_contiguous() -> None:
    """PyTorch's INT8 kernels assume a contiguous bias; otherwise every second x offset would be a y offset."""
    for module in (GridSampledAttention(DeformableAttention(16, 4, 2)), SoftmaxAttention(Attention(16, 4))):
        assert all(parameter.is_contiguous() for parameter in module.parameters())
