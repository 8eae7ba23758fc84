"""Terms of the objective: closed-form values, what they say they need, and where their gradient goes."""

import math

import pytest
import torch

from m2fp_kd.distill.objective import TeacherTarget
from m2fp_kd.distill.terms import HardParts, MatchedMasks, PixelParts, SoftJaccard, SoftParts
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.outputs import StudentOutput
from tests.distill.tiny import tiny_m2fp

PPP = LABEL_SETS["pascal_person_part"]
CIHP = LABEL_SETS["cihp"]


def labels_of(parts: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"parts": parts}


def test_a_student_that_says_what_its_teacher_says_has_no_soft_loss() -> None:
    logits = torch.randn(1, 7, 4, 4, requires_grad=True)
    target = TeacherTarget(logits.detach().log_softmax(dim=1), torch.ones(1, 4, 4, dtype=torch.bool))
    term = SoftParts(PPP, temperature=4.0)
    assert term(StudentOutput(logits), {}, target).item() == pytest.approx(0, abs=1e-5)
    loss = term(StudentOutput(logits[:, [1, 0, 2, 3, 4, 5, 6]]), {}, target)
    loss.backward()
    assert loss > 0 and logits.grad is not None and logits.grad.abs().sum() > 0


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"distill\.temperature must be above 0, not 0"):
        SoftParts(PPP, temperature=0)


def test_the_hard_loss_of_ignorance_is_the_logarithm_of_the_number_of_parts() -> None:
    parts = torch.randint(0, 7, (2, 16, 16), generator=torch.Generator().manual_seed(0))
    parts[0] = 255
    loss = HardParts(PPP)(StudentOutput(torch.zeros(2, 7, 4, 4)), labels_of(parts), None)
    assert loss.item() == pytest.approx(math.log(7))


def test_jaccard_is_zero_where_all_is_right_and_one_where_nothing_is() -> None:
    parts = torch.zeros(1, 16, 16, dtype=torch.long)
    parts[:, :, 8:] = 1
    right = torch.full((1, 7, 16, 16), -50.0).scatter(1, parts[:, None], 50.0)
    term = SoftJaccard(PPP)
    assert term(StudentOutput(right), labels_of(parts), None).item() == pytest.approx(0, abs=1e-3)
    wrong = right[:, [1, 0, 2, 3, 4, 5, 6]]
    assert term(StudentOutput(wrong), labels_of(parts), None).item() == pytest.approx(1, abs=1e-2)


def test_matched_masks_reach_queries_and_pixels_reach_features() -> None:
    torch.manual_seed(0)
    network = tiny_m2fp().train()
    output = network(255 * torch.rand(2, 3, 64, 64))
    parts = torch.zeros(2, 64, 64, dtype=torch.long)
    parts[:, 16:48, 16:48] = 5
    batch = labels_of(parts) | {"humans": (parts > 0).long(), "instances": (parts > 0).long()}
    seen = StudentOutput(torch.zeros(2, 20, 16, 16), queries=output, features=output.mask_features)
    for term, reached in (
        (MatchedMasks(CIHP, num_points=64), "transformer_decoder"),
        (PixelParts(CIHP, width=32), "pixel_decoder"),
    ):
        network.zero_grad()
        term(seen, batch, None).backward(retain_graph=True)
        touched = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
        assert reached in touched and "backbone" in touched
    assert MatchedMasks.needs == {"student.queries"} and PixelParts.needs == {"student.features"}
