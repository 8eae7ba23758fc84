"""Mask2Former's criterion against transformers' implementation, in closed form, and its symmetries."""

from collections.abc import Iterator

import pytest
import torch

from m2fp_kd.distill.losses.mask import MatchedMaskLoss
from m2fp_kd.distill.losses.mask_targets import MaskTargets
from m2fp_kd.models.outputs import M2FPOutput

CLASSES, QUERIES, POINTS = 5, 12, 96
SIZE = (32, 40)
Layer = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(autouse=True)
def seed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def same_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every mask of every layer the same random points, in any order of drawing."""
    sequence = torch.rand(4 * POINTS, 2)

    def rand(*shape: int, device: torch.device | None = None) -> torch.Tensor:
        return sequence[: shape[-2]].expand(*shape).contiguous()

    monkeypatch.setattr(torch, "rand", rand)


def random_layer(batch: int) -> Layer:
    return torch.randn(batch, QUERIES, CLASSES + 1), 3 * torch.randn(batch, QUERIES, SIZE[0] // 4, SIZE[1] // 4)


def random_targets(counts: tuple[int, ...]) -> list[MaskTargets]:
    everywhere = torch.ones(SIZE, dtype=torch.bool)
    return [MaskTargets(torch.randint(0, CLASSES, (n,)), torch.randn(n, *SIZE) > 0, everywhere) for n in counts]


def output(*layers: Layer) -> M2FPOutput:
    return M2FPOutput(*layers[-1], auxiliary=list(layers[:-1]))


def pick(layer: Layer, images: slice) -> Layer:
    return layer[0][images], layer[1][images]


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], factor: float = 1.0) -> None:
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(factor * value.item(), abs=1e-5, rel=1e-5), name


def squares() -> tuple[Layer, list[MaskTargets]]:
    """Return a perfect prediction: 4 rectangles of whole stride-4 cells, one query each, other queries empty."""
    masks = torch.zeros(4, *SIZE, dtype=torch.bool)
    masks[0, :16, :20], masks[1, :16, 20:], masks[2, 16:, :20], masks[3, 16:, 20:] = True, True, True, True
    classes = torch.tensor([0, 3, 3, 1])
    class_logits = torch.full((1, QUERIES, CLASSES + 1), -40.0)
    class_logits[0, torch.arange(4, 8), classes] = 40.0
    class_logits[0, [*range(4), *range(8, QUERIES)], CLASSES] = 40.0
    mask_logits = torch.full((1, QUERIES, SIZE[0] // 4, SIZE[1] // 4), -400.0)
    mask_logits[0, 4:8] = torch.where(masks[:, ::4, ::4], 400.0, -400.0)
    return (class_logits, mask_logits), [MaskTargets(classes, masks, torch.ones(SIZE, dtype=torch.bool))]


@pytest.mark.parametrize("counts", [(3, 0, 5), (12, 1, 15)])
def test_the_loss_equals_that_of_transformers(same_points: None, counts: tuple[int, ...]) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers, the oracle, is not installed")
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    layers = [random_layer(3) for _ in range(3)]
    targets = random_targets(counts)
    oracle = Mask2FormerLoss(
        transformers.Mask2FormerConfig(num_labels=CLASSES, train_num_points=POINTS),
        {"loss_cross_entropy": 2.0, "loss_mask": 5.0, "loss_dice": 5.0},
    )
    expected = oracle(
        layers[-1][1],
        layers[-1][0],
        [target.masks.float() for target in targets],
        [target.classes for target in targets],
        [{"masks_queries_logits": masks, "class_queries_logits": classes} for classes, masks in layers[:-1]],
    )
    found = MatchedMaskLoss(POINTS)(output(*layers), targets)
    for ours, theirs in (("class", "cross_entropy"), ("mask", "mask"), ("dice", "dice")):
        total = sum(value for name, value in expected.items() if theirs in name)
        assert found[ours].item() == pytest.approx(float(total), abs=1e-4), ours


def test_the_gradient_equals_that_of_transformers(same_points: None) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers, the oracle, is not installed")
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    classes, masks = (logits.requires_grad_() for logits in random_layer(2))
    targets = random_targets((3, 4))
    weights = {"loss_cross_entropy": 2.0, "loss_mask": 5.0, "loss_dice": 5.0}
    oracle = Mask2FormerLoss(transformers.Mask2FormerConfig(num_labels=CLASSES, train_num_points=POINTS), weights)
    terms = oracle(masks, classes, [target.masks.float() for target in targets], [target.classes for target in targets])
    theirs = torch.autograd.grad(sum(weights[name] * value for name, value in terms.items()), (classes, masks))
    loss = MatchedMaskLoss(POINTS)
    ours = torch.autograd.grad(loss.total(loss(output((classes, masks)), targets)), (classes, masks))
    for found, expected in zip(ours, theirs, strict=True):
        assert torch.allclose(found, expected, atol=1e-5)


def test_a_perfect_prediction_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Avoid edges, where interpolated logits and masks differ and border pixels are interpolated with zero.
    centres = torch.cartesian_prod((torch.arange(10) + 0.5) / 10, (torch.arange(8) + 0.5) / 8)
    monkeypatch.setattr(torch, "rand", lambda *shape, device=None: centres.repeat(3, 1)[: shape[-2]].expand(*shape))
    layer, targets = squares()
    components = MatchedMaskLoss(80)(output(layer), targets)
    assert all(value.item() == pytest.approx(0, abs=1e-5) for value in components.values())


def test_uniform_predictions_cost_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits are 0, so the losses are ln 2, 1 - (A + 1)/(N/2 + A + 1) and ln(C + 1)."""
    centres = torch.cartesian_prod((torch.arange(10) + 0.5) / 10, (torch.arange(8) + 0.5) / 8)
    monkeypatch.setattr(torch, "rand", lambda *shape, device=None: centres.repeat(3, 1)[: shape[-2]].expand(*shape))
    _, targets = squares()
    layer = (torch.zeros(1, QUERIES, CLASSES + 1), torch.zeros(1, QUERIES, SIZE[0] // 4, SIZE[1] // 4))
    components = MatchedMaskLoss(80, importance=0.0)(output(layer), targets)
    assert components["class"].item() == pytest.approx(torch.tensor(6.0).log().item(), abs=1e-5)
    assert components["mask"].item() == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-5)
    assert components["dice"].item() == pytest.approx(1 - (20 + 1) / (40 + 20 + 1), abs=1e-5)


def test_the_order_of_queries_does_not_matter(same_points: None) -> None:
    layers, targets = [random_layer(2) for _ in range(2)], random_targets((3, 5))
    shuffled = [
        (classes[:, order], masks[:, order]) for classes, masks in layers for order in [torch.randperm(QUERIES)]
    ]
    loss = MatchedMaskLoss(POINTS)
    assert_close(loss(output(*shuffled), targets), loss(output(*layers), targets))


def test_the_order_of_targets_does_not_matter(same_points: None) -> None:
    layers, targets = [random_layer(2) for _ in range(2)], random_targets((3, 5))
    shuffled = [MaskTargets(t.classes.flip(0), t.masks.flip(0), t.valid) for t in targets]
    loss = MatchedMaskLoss(POINTS)
    assert_close(loss(output(*layers), shuffled), loss(output(*layers), targets))


def test_layers_are_summed(same_points: None) -> None:
    first, second, targets = random_layer(2), random_layer(2), random_targets((3, 5))
    loss = MatchedMaskLoss(POINTS)
    together, one, other = (loss(output(*layers), targets) for layers in ((first, second), (first,), (second,)))
    assert_close(together, {name: one[name] + other[name] for name in one})


def test_a_batch_is_the_sum_of_its_images(same_points: None) -> None:
    layer, counts = random_layer(3), (3, 0, 5)
    targets = random_targets(counts)
    loss = MatchedMaskLoss(POINTS)
    together = loss(output(layer), targets)
    single = [loss(output(pick(layer, slice(i, i + 1))), targets[i : i + 1]) for i in range(3)]
    query_weights = [n + 0.1 * (QUERIES - n) for n in counts]
    for name, weights in (("mask", counts), ("dice", counts), ("class", query_weights)):
        expected = sum(w * part[name].item() for w, part in zip(weights, single, strict=True)) / sum(weights)
        assert together[name].item() == pytest.approx(expected, abs=1e-5), name


def test_ignored_pixels_have_no_gradient_and_no_influence() -> None:
    classes, masks = random_layer(1)
    (target,) = random_targets((4,))
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[:, 20:] = False  # columns 5.. of the logits
    targets = [MaskTargets(target.classes, target.masks & valid, valid)]
    loss = MatchedMaskLoss(512)

    def run(logits: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(1)
        return loss.total(loss(output((classes, logits)), targets))

    masks.requires_grad_()
    (gradient,) = torch.autograd.grad(run(masks), masks)
    assert gradient[..., :5].abs().sum() > 0
    assert gradient[..., 6:].abs().max() == 0  # column 5 is interpolated with the last valid one
    other = masks.detach().clone()
    other[..., 6:] = 50 * torch.randn_like(other[..., 6:])
    assert run(other).item() == pytest.approx(run(masks).item(), abs=1e-5)


def test_uncertain_but_ignored_pixels_attract_no_points() -> None:
    """Logits are certain at valid pixels and 0 at ignored ones, which must not attract all points."""
    classes, masks = random_layer(1)
    masks = torch.full_like(masks, 9.0)
    masks[..., 5:] = 0.0
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[:, 20:] = False
    targets = [MaskTargets(torch.tensor([0]), torch.zeros(1, *SIZE, dtype=torch.bool), valid)]
    masks.requires_grad_()
    MatchedMaskLoss(512, importance=1.0)(output((classes, masks)), targets)["mask"].backward()
    assert (masks.grad.abs().sum((0, 1))[:, :4] > 0).all()


@pytest.mark.parametrize("counts", [(0, 0), (2, 0)])
def test_images_without_masks_train_no_object_only(counts: tuple[int, ...]) -> None:
    classes, masks = (logits.requires_grad_() for logits in random_layer(2))
    loss = MatchedMaskLoss(POINTS)
    components = loss(output((classes, masks)), random_targets(counts))
    loss.total(components).backward()
    assert components["class"].item() > 0
    assert (components["mask"].item() > 0) == (sum(counts) > 0)
    assert classes.grad[1].abs().sum() > 0
    assert masks.grad is not None
    assert masks.grad[1].abs().max() == 0


def test_an_image_without_labels_has_no_gradient() -> None:
    classes, masks = (logits.requires_grad_() for logits in random_layer(2))
    (labelled,) = random_targets((3,))
    nothing = torch.zeros(SIZE, dtype=torch.bool)
    bare = MaskTargets(torch.zeros(0, dtype=torch.long), torch.zeros(0, *SIZE, dtype=torch.bool), nothing)
    loss = MatchedMaskLoss(POINTS)
    components = loss(output((classes, masks)), [labelled, bare])
    loss.total(components).backward()
    for logits in (classes, masks):
        assert logits.grad is not None and logits.grad[0].any() and not logits.grad[1].any()

    def class_loss(layer: Layer, *targets: MaskTargets) -> float:
        torch.manual_seed(2)  # the first image's points are drawn first
        return loss(output(layer), targets)["class"].item()

    both, first = (classes.detach(), masks.detach()), slice(0, 1)
    assert class_loss(both, labelled, bare) == pytest.approx(class_loss(pick(both, first), labelled), abs=1e-6)
    assert class_loss(pick(both, first), bare) == 0


def test_more_masks_than_queries_leave_masks_unmatched() -> None:
    classes, masks = (logits.requires_grad_() for logits in random_layer(1))
    loss = MatchedMaskLoss(POINTS)
    loss.total(loss(output((classes, masks)), random_targets((QUERIES + 3,)))).backward()
    assert (masks.grad[0].flatten(1).abs().sum(1) > 0).all()


def test_huge_logits_stay_finite() -> None:
    classes, masks = random_layer(1)
    loss = MatchedMaskLoss(POINTS)
    components = loss(output((classes, 1e4 * masks)), random_targets((4,)))
    assert all(value.isfinite() for value in components.values())


def test_same_seed_same_loss() -> None:
    layer, targets = random_layer(2), random_targets((3, 5))
    found = []
    for value in (7, 7, 8):
        torch.manual_seed(value)
        found.append(MatchedMaskLoss(POINTS)(output(layer), targets)["mask"].item())
    assert found[0] == found[1] != found[2]


def test_half_precision_is_computed_in_float32() -> None:
    classes, masks = random_layer(2)
    targets = random_targets((3, 5))
    loss = MatchedMaskLoss(POINTS)
    rounded = (classes.bfloat16(), masks.bfloat16())
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(output(rounded), targets)
    torch.manual_seed(3)
    expected = loss(output((rounded[0].float(), rounded[1].float())), targets)
    assert all(value.dtype == torch.float32 for value in found.values())
    assert_close(found, expected)


def test_weights() -> None:
    loss = MatchedMaskLoss(POINTS)
    components = {"class": torch.tensor(1.0), "mask": torch.tensor(10.0), "dice": torch.tensor(100.0)}
    assert loss.total(components).item() == 2 + 50 + 500


@pytest.mark.parametrize("which", [0, 1])
def test_nan_is_named(which: int) -> None:
    layer = random_layer(2)
    layer[which][0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="logits"):
        MatchedMaskLoss(POINTS)(output(layer), random_targets((3, 5)))


def test_targets_that_do_not_fit_are_errors() -> None:
    loss, layer, targets = MatchedMaskLoss(POINTS), random_layer(2), random_targets((3, 5))
    with pytest.raises(ValueError, match="one per image"):
        loss(output(layer), targets[:1])
    outside = MaskTargets(torch.tensor([CLASSES]), targets[0].masks[:1], targets[0].valid)
    with pytest.raises(ValueError, match="num_classes"):
        loss(output(layer), [outside, targets[1]])
    small = MaskTargets(targets[0].classes, targets[0].masks[:, :8], targets[0].valid[:8])
    with pytest.raises(ValueError, match="sizes"):
        loss(output(layer), [small, targets[1]])


def test_settings_out_of_range_are_errors() -> None:
    for settings in ({"num_points": 0}, {"oversample": 0.5}, {"importance": 1.5}):
        with pytest.raises(ValueError, match="need num_points"):
            MatchedMaskLoss(**settings)
