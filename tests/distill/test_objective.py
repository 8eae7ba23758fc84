"""The weighted sum of terms and its checks."""

from functools import partial

import pytest
import torch

from m2fp_kd.distill.losses.ce import Ce
from m2fp_kd.distill.losses.feature import Feature
from m2fp_kd.distill.losses.jaccard import Jaccard
from m2fp_kd.distill.losses.kl import Kl
from m2fp_kd.distill.losses.mask import Mask
from m2fp_kd.distill.losses.pixel import Pixel
from m2fp_kd.distill.losses.query import Query
from m2fp_kd.distill.losses.term import Term
from m2fp_kd.distill.objective import Objective, build_objective
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import load_label_set
from m2fp_kd.models.outputs import StudentOutput

LABELS = load_label_set("pascal_person_part")


def batch() -> dict[str, torch.Tensor]:
    return {"parts": torch.randint(0, 7, (2, 16, 16), generator=torch.Generator().manual_seed(0))}


def output() -> StudentOutput:
    return StudentOutput(torch.randn(2, 7, 4, 4, generator=torch.Generator().manual_seed(1)))


def target() -> TeacherTarget:
    log_parts = torch.randn(2, 7, 4, 4, generator=torch.Generator().manual_seed(2)).log_softmax(1)
    return TeacherTarget(log_parts, torch.ones(2, 4, 4, dtype=torch.bool))


def classic(alpha: float) -> Objective:
    terms = {
        "kl": {"weight": alpha, "term": partial(Kl, temperature=4.0)},
        "ce": {"weight": 1 - alpha, "term": Ce},
    }
    return build_objective(terms, LABELS)


def test_the_sum_is_weighted_and_the_terms_are_not() -> None:
    total, terms = classic(0.7)(output(), batch(), target())
    assert total.item() == pytest.approx(0.7 * terms["kl"].item() + 0.3 * terms["ce"].item(), rel=1e-6)


def test_alpha_zero_needs_no_teacher() -> None:
    objective = classic(0.0)
    objective.check(frozenset(), frozenset())
    total, terms = objective(output(), batch(), None)
    assert set(terms) == {"ce"} and total == terms["ce"]


def test_a_weight_without_its_term_is_an_error() -> None:
    with pytest.raises(ValueError, match="weights are for"):
        Objective({"ce": Ce(LABELS)}, {"ce": 1.0, "kl": 1.0})


def test_an_objective_without_terms_is_an_error() -> None:
    with pytest.raises(ValueError, match="no terms"):
        build_objective({}, LABELS)


def test_a_field_that_the_teacher_lacks_is_named_with_the_fix() -> None:
    with pytest.raises(ValueError, match=r"'kl' needs \['log_parts'\].*teacher=live"):
        classic(0.7).check(frozenset(), frozenset())


def test_a_field_that_the_student_lacks_is_named_with_the_fix() -> None:
    objective = Objective({"mask": Mask(LABELS)}, {"mask": 1.0})
    with pytest.raises(ValueError, match="student=m2fp"):
        objective.check(frozenset({"log_parts"}), frozenset({"features"}))
    objective = Objective({"query": Query(LABELS)}, {"query": 1.0})
    with pytest.raises(ValueError, match=r"'query' needs \['student\.queries'\].*use student=m2fp"):
        objective.check(frozenset({"log_parts"}), frozenset({"features"}))
    with pytest.raises(ValueError, match=r"'query' needs \['queries'\] from the teacher.*use teacher=live"):
        objective.check(frozenset({"log_parts"}), frozenset({"features", "queries"}))


def test_temperature_must_be_positive() -> None:
    with pytest.raises(ValueError, match="temperature"):
        Kl(LABELS, temperature=0)


def test_a_classifier_trains_with_the_objective() -> None:
    objective = Objective({"pixel": Pixel(LABELS)}, {"pixel": 1.0})
    objective.connect(student_channels=8, teacher_channels=None)
    features = torch.randn(2, 8, 4, 4, requires_grad=True)
    total, _ = objective(StudentOutput(output().part_logits, features=features), batch(), None)
    total.backward()
    assert all(parameter.grad is not None for parameter in objective.parameters()) and features.grad is not None


def test_terms_are_connected_to_the_feature_channels() -> None:
    objective = Objective({"feature": Feature(LABELS), "ce": Ce(LABELS)}, {"feature": 1.0, "ce": 1.0})
    objective.connect(student_channels=5, teacher_channels=8)
    assert {name: tuple(weight.shape) for name, weight in objective.named_parameters()} == {
        "terms.feature.projection.weight": (8, 5, 1, 1),
        "terms.feature.projection.bias": (8,),
    }


@pytest.mark.parametrize("term", [Ce(LABELS), Jaccard(LABELS), Kl(LABELS)])
def test_every_term_falls_along_its_gradient(term: Term) -> None:
    student = output()
    student.part_logits.requires_grad_()
    before = term(student, batch(), target())
    (gradient,) = torch.autograd.grad(before, student.part_logits)
    after = term(StudentOutput(student.part_logits - 0.1 * gradient), batch(), target())
    assert after < before


@pytest.mark.parametrize(("progress", "left"), [(0.0, 1.0), (0.1, 0.75), (0.4, 0.0), (0.9, 0.0)])
def test_a_term_is_annealed_linearly_to_zero_and_the_others_stay(progress: float, left: float) -> None:
    terms = {
        "kl": {"weight": 0.7, "anneal": 0.4, "term": partial(Kl, temperature=4.0)},
        "ce": {"weight": 0.3, "anneal": None, "term": Ce},
    }
    objective = build_objective(terms, LABELS)
    answer = target() if objective.reads_teacher(progress) else None
    total, values = objective(output(), batch(), answer, progress)
    assert ("kl" in values) == (answer is not None) == (left > 0)
    ce, kl = (term(output(), batch(), target()) for term in (Ce(LABELS), Kl(LABELS, temperature=4.0)))
    assert total.item() == pytest.approx(left * 0.7 * kl.item() + 0.3 * ce.item(), rel=1e-6)


def test_annealing_at_zero_is_an_error() -> None:
    with pytest.raises(ValueError, match="annealed before training begins: kl"):
        Objective({"kl": Kl(LABELS)}, {"kl": 1.0}, {"kl": 0.0})


def test_one_term_must_stay_until_training_ends() -> None:
    with pytest.raises(ValueError, match="every term is annealed before training ends"):
        Objective({"kl": Kl(LABELS)}, {"kl": 1.0}, {"kl": 0.9})
