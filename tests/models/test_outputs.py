import pytest
import torch

from m2fp_kd.models.outputs import M2FPOutput, log_parts


def _output(queries: int = 5, classes: int = 6, scale: float = 3.0) -> M2FPOutput:
    generator = torch.Generator().manual_seed(0)
    return M2FPOutput(
        scale * torch.randn(2, queries, classes, generator=generator),
        scale * torch.randn(2, queries, 3, 4, generator=generator),
    )


def _plainly(output: M2FPOutput, num_parts: int) -> torch.Tensor:
    classes = output.class_logits.double().softmax(-1)[..., :num_parts]
    scores = torch.einsum("bqc,bqhw->bchw", classes, output.mask_logits.double().sigmoid())
    return (scores / scores.sum(1, keepdim=True)).log()


def test_log_parts_is_the_normalised_sum_over_queries() -> None:
    output = _output()
    for num_parts in (5, 4):  # without and with a Human class
        torch.testing.assert_close(
            log_parts(output, num_parts).double(), _plainly(output, num_parts), atol=1e-5, rtol=1e-5
        )


def test_a_single_query_determines_every_pixel() -> None:
    output = M2FPOutput(torch.tensor([[[0.0, 2.0, 1.0, 9.0]]]), torch.tensor([[[[-7.0, 7.0]]]]))
    expected = torch.tensor([0.0, 2.0]).log_softmax(0).view(1, 2, 1, 1).expand(1, 2, 1, 2)
    torch.testing.assert_close(log_parts(output, 2), expected)


def test_a_person_query_has_no_influence() -> None:
    output = _output()
    human = torch.full((2, 1, 6), -40.0)
    human[..., 4] = 40  # the class after four parts
    mask = torch.full((2, 1, 3, 4), 10.0)
    with_person = M2FPOutput(torch.cat([output.class_logits, human], 1), torch.cat([output.mask_logits, mask], 1))
    torch.testing.assert_close(log_parts(with_person, 4), log_parts(output, 4))


@pytest.mark.parametrize("scale", [30.0, 1e3, 1e6])
def test_log_parts_and_its_gradients_stay_finite(scale: float) -> None:
    output = _output(scale=scale)
    output.class_logits.requires_grad_()
    output.mask_logits.requires_grad_()
    result = log_parts(output, 4)
    result.mean().backward()
    assert result.isfinite().all()
    torch.testing.assert_close(result.exp().sum(1), torch.ones(2, 3, 4))
    assert output.class_logits.grad.isfinite().all() and output.mask_logits.grad.isfinite().all()


def test_gradients_match_those_of_the_plain_formula() -> None:
    ours, plain = _output(), _output()
    weight = torch.randn(2, 4, 3, 4, generator=torch.Generator().manual_seed(1))
    gradients = []
    for output, function in ((ours, log_parts), (plain, _plainly)):
        output.class_logits.requires_grad_()
        output.mask_logits.requires_grad_()
        (function(output, 4) * weight).sum().backward()
        gradients.append((output.class_logits.grad, output.mask_logits.grad))
    for got, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_log_parts_is_float32_for_half_precision_logits() -> None:
    output = _output()
    half = M2FPOutput(output.class_logits.bfloat16(), output.mask_logits.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        result = log_parts(half, 4)
    assert result.dtype == torch.float32
    wide = M2FPOutput(half.class_logits.float(), half.mask_logits.float())
    torch.testing.assert_close(result, log_parts(wide, 4))


def test_more_parts_than_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_parts=6 does not fit 6 class logits"):
        log_parts(_output(), 6)
