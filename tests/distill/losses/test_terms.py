"""Terms of the objective: closed-form values, declared needs, and gradients."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from m2fp_kd.distill.losses.boundary import Boundary
from m2fp_kd.distill.losses.ce import Ce
from m2fp_kd.distill.losses.cross_image import CrossImage
from m2fp_kd.distill.losses.cwd import Cwd
from m2fp_kd.distill.losses.dist import Dist
from m2fp_kd.distill.losses.feature import Feature
from m2fp_kd.distill.losses.jaccard import Jaccard
from m2fp_kd.distill.losses.kl import Kl
from m2fp_kd.distill.losses.mask import Mask, MatchedMaskLoss
from m2fp_kd.distill.losses.mask_targets import mask_targets
from m2fp_kd.distill.losses.pixel import Pixel
from m2fp_kd.distill.losses.query import Query
from m2fp_kd.distill.losses.term import Term
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.outputs import M2FPOutput, StudentOutput
from tests.distill.tiny import tiny_m2fp

PPP = LABEL_SETS["pascal_person_part"]
CIHP = LABEL_SETS["cihp"]


def labels_of(parts: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"parts": parts}


def test_a_student_equal_to_its_teacher_costs_nothing() -> None:
    logits = torch.randn(1, 7, 4, 4, requires_grad=True)
    target = TeacherTarget(logits.detach().log_softmax(dim=1), torch.ones(1, 4, 4, dtype=torch.bool))
    term = Kl(PPP, temperature=4.0)
    assert term(StudentOutput(logits), {}, target).item() == pytest.approx(0, abs=1e-5)
    loss = term(StudentOutput(logits[:, [1, 0, 2, 3, 4, 5, 6]]), {}, target)
    loss.backward()
    assert loss > 0 and logits.grad is not None and logits.grad.abs().sum() > 0


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_kl_of_a_uniform_student_is_the_teachers_negative_entropy_inside_the_photo(temperature: float) -> None:
    """KL(p || uniform) = ln P - H(p), with the teacher's p at this temperature, times T squared."""
    teacher = torch.randn(1, 7, 2, 2, generator=torch.Generator().manual_seed(0)).mul(3).log_softmax(dim=1)
    valid = torch.tensor([[[True, False], [False, False]]])
    raised = teacher[0, :, 0, 0].exp() ** (1 / temperature)
    entropy = -sum(p * math.log(p) for p in (raised / raised.sum()).tolist())
    loss = Kl(PPP, temperature)(StudentOutput(torch.zeros(1, 7, 2, 2)), {}, TeacherTarget(teacher, valid))
    assert loss.item() == pytest.approx(temperature**2 * (math.log(7) - entropy), rel=1e-4)


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"distill\.temperature must be above 0, not 0"):
        Kl(PPP, temperature=0)


def test_ce_of_a_uniform_student_is_the_logarithm_of_the_number_of_parts() -> None:
    parts = torch.randint(0, 7, (2, 16, 16), generator=torch.Generator().manual_seed(0))
    parts[0] = 255
    loss = Ce(PPP)(StudentOutput(torch.zeros(2, 7, 4, 4)), labels_of(parts), None)
    assert loss.item() == pytest.approx(math.log(7))


def test_jaccard_is_zero_for_perfect_and_one_for_wrong_predictions() -> None:
    parts = torch.zeros(1, 16, 16, dtype=torch.long)
    parts[:, :, 8:] = 1
    right = torch.full((1, 7, 16, 16), -50.0).scatter(1, parts[:, None], 50.0)
    term = Jaccard(PPP)
    assert term(StudentOutput(right), labels_of(parts), None).item() == pytest.approx(0, abs=1e-3)
    wrong = right[:, [1, 0, 2, 3, 4, 5, 6]]
    assert term(StudentOutput(wrong), labels_of(parts), None).item() == pytest.approx(1, abs=1e-2)


def test_matched_masks_reach_queries_and_pixels_reach_features() -> None:
    torch.manual_seed(0)
    network = tiny_m2fp().train()
    output = network(255 * torch.rand(2, 3, 64, 64))
    parts = torch.zeros(2, 64, 64, dtype=torch.long)
    parts[:, 16:48, 16:48] = 5
    batch = labels_of(parts) | {"persons": (parts > 0).long(), "instances": (parts > 0).long()}
    seen = StudentOutput(torch.zeros(2, 20, 16, 16), queries=output, features=output.mask_features)
    for term, reached in (
        (Mask(CIHP, num_points=64), "transformer_decoder"),
        (Pixel(CIHP), "pixel_decoder"),
    ):
        term.connect(output.mask_features.shape[1], None)
        network.zero_grad()
        term(seen, batch, None).backward(retain_graph=True)
        touched = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
        assert reached in touched and "backbone" in touched
    assert Mask.needs == {"student.queries"} and Pixel.needs == {"student.features"}


def random_queries() -> M2FPOutput:
    torch.manual_seed(0)
    return M2FPOutput(torch.randn(1, 8, 9), torch.randn(1, 8, 4, 4))  # seven parts, persons, no object


@pytest.mark.parametrize("ids", [(), ("persons",), ("instances",), ("persons", "instances")])
def test_matched_masks_use_the_ids_of_the_batch(ids: tuple[str, ...]) -> None:
    parts = torch.zeros(1, 16, 16, dtype=torch.long)
    parts[:, 4:12, 2:14] = 3
    persons, instances = parts.clone(), parts.clone()
    persons[:, 4:12, 8:14] = 1  # two persons with one part each, which is in three pieces
    instances[:, 4:12, 4:8], instances[:, 4:12, 8:12] = 5, 9
    given = {name: label_map for name, label_map in (("persons", persons), ("instances", instances)) if name in ids}
    target = mask_targets(
        parts[0], *(given[name][0] if name in given else None for name in ("persons", "instances")), PPP
    )
    loss, queries = MatchedMaskLoss(32), random_queries()
    torch.manual_seed(1)
    expected = loss.total(loss(queries, [target]))
    torch.manual_seed(1)
    found = Mask(PPP, num_points=32)(StudentOutput(torch.zeros(1, 7, 4, 4), queries), labels_of(parts) | given, None)
    assert found.item() == expected.item()


TERMS = [
    Kl(PPP), Ce(PPP), Jaccard(PPP), Mask(PPP, num_points=32), Pixel(PPP),
    Cwd(PPP), Dist(PPP), Boundary(PPP), CrossImage(PPP), Feature(PPP), Query(PPP),
]  # fmt: skip


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_a_term_reads_exactly_the_fields_in_its_needs(term: Term) -> None:
    torch.manual_seed(1)
    term.connect(student_channels=6, teacher_channels=6)
    logits, student_features = torch.zeros(1, 7, 4, 4), torch.randn(1, 6, 4, 4)
    parts = labels_of(torch.arange(16).expand(1, 16, 16) // 3)
    log_parts, features = torch.randn(1, 7, 4, 4).log_softmax(dim=1), torch.randn(1, 6, 4, 4)
    queries = M2FPOutput(torch.randn(1, 8, 9), torch.randn(1, 8, 4, 4))

    def loss(given: frozenset[str]) -> torch.Tensor:
        output = StudentOutput(
            logits,
            random_queries() if "student.queries" in given else None,
            student_features if "student.features" in given else None,
        )
        teacher = TeacherTarget(
            log_parts if "log_parts" in given else None,  # type: ignore[arg-type]
            torch.ones(1, 4, 4, dtype=torch.bool),
            queries if "queries" in given else None,
            features if "features" in given else None,
        )
        return term(output, parts, teacher if any("." not in name for name in given) else None)

    assert loss(term.needs) > 0
    for name in term.needs:
        with pytest.raises((ValueError, AttributeError)):
            loss(term.needs - {name})


@pytest.mark.parametrize("kind", [Ce, Jaccard, Pixel])
def test_the_label_sets_own_ignored_value_is_left_out(kind: type[Term]) -> None:
    torch.manual_seed(0)
    term = kind(replace(PPP, ignore_index=99))
    term.connect(student_channels=7, teacher_channels=None)
    logits, parts = torch.randn(1, 7, 16, 16, requires_grad=True), torch.randint(0, 7, (1, 16, 16))
    parts[:, 8:] = 99
    loss = term(StudentOutput(logits, features=logits), labels_of(parts), None)
    above = term(StudentOutput(logits[:, :, :8], features=logits[:, :, :8]), labels_of(parts[:, :8]), None)
    assert loss.item() == pytest.approx(above.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[:, :, :8].abs().sum() > 0 and gradient[:, :, 8:].abs().sum() == 0


def target_of(log_parts: torch.Tensor) -> TeacherTarget:
    return TeacherTarget(log_parts, torch.ones(1, *log_parts.shape[-2:], dtype=torch.bool))


def test_edges_come_from_labels_and_otherwise_from_the_teacher() -> None:
    """A label that differs from the teacher moves the edge; without labels the teacher's own edge counts."""
    torch.manual_seed(0)
    teacher = torch.full((1, 7, 8, 8), -8.0)
    teacher[:, 0, :, :4], teacher[:, 2, :, 4:] = 0, 0
    teacher, student = teacher.log_softmax(1), StudentOutput(torch.randn(1, 7, 8, 8))
    edge_only = Boundary(PPP, edge_weight=1, body_weight=0)

    def loss(parts: torch.Tensor) -> float:
        return edge_only(student, labels_of(parts), target_of(teacher)).item()

    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    labels[:, :, 16:] = 2
    unlabelled, elsewhere = torch.full_like(labels, 255), labels.roll(8, dims=2)
    assert loss(unlabelled) == loss(labels) != pytest.approx(loss(elsewhere))


@pytest.mark.parametrize("kind", [Kl, Boundary])
@pytest.mark.parametrize("confidence", ["entropy", "probability"])
def test_confidence_reduces_the_weight_of_uncertain_pixels(kind: type[Kl], confidence: str) -> None:
    """The student is right where the teacher is certain, and wrong elsewhere."""
    teacher = torch.zeros(1, 7, 4, 4)
    teacher[:, 1, :2] = 20
    teacher[:, 1, 2:] = 1
    student = StudentOutput(teacher.clone())
    student.part_logits[:, 2, 2:] = 3
    losses = [
        kind(PPP, confidence=chosen)(student, labels_of(torch.ones(1, 16, 16)), target_of(teacher.log_softmax(1)))
        for chosen in (confidence, None)
    ]
    assert 0 < losses[0] < 0.7 * losses[1]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Kl(PPP, confidence="some"), r"confidence=some must be null, entropy or probability"),
        (lambda: Boundary(PPP, width=0), "width of an edge must be at least 1 cell, not 0"),
        (lambda: Cwd(PPP, temperature=-1), "temperature must be above 0, not -1"),
        (lambda: CrossImage(PPP, cells=0), "need cells >= 1"),
        (lambda: Feature(PPP, along="row"), "along=row is not one of pixel, channel"),
    ],
)
def test_impossible_settings_are_named(build: Callable[[], Term], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_a_projection_maps_the_students_channels_to_the_teachers() -> None:
    torch.manual_seed(0)
    term = Feature(PPP)
    term.connect(student_channels=6, teacher_channels=9)
    features = torch.randn(1, 6, 4, 4, requires_grad=True)
    target = target_of(torch.zeros(1, 7, 4, 4))
    target.features = torch.randn(1, 9, 4, 4)
    optimiser = torch.optim.SGD([features, *term.parameters()], lr=5.0)
    losses = []
    for _ in range(100):
        loss = term(StudentOutput(torch.zeros(1, 7, 4, 4), features=features), {}, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
