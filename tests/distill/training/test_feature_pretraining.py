"""The loss of a pretraining against closed forms, and what it trains."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from m2fp_kd.distill.training.feature_pretraining import FeaturePretraining
from m2fp_kd.distill.training.schedule import warmup_polynomial
from m2fp_kd.models.backbones import Backbone, build_backbone
from m2fp_kd.models.feature_teacher import FeatureTeacher
from m2fp_kd.models.normalise import Normalise


class Pooled(nn.Module):
    """The mean colours of cells at given strides; on request with other signs and sizes."""

    def __init__(self, strides: tuple[int, ...], factor: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self.strides = strides
        self.factor = nn.Parameter(torch.tensor(factor))
        self.offset = offset

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.factor * nn.functional.avg_pool2d(images, stride) + self.offset for stride in self.strides]


def pretraining(student: nn.Module, teacher: nn.Module, size: int = 64) -> FeaturePretraining:
    module = FeaturePretraining(
        Backbone(student, (3, 3, 3, 3)), FeatureTeacher("pooled", teacher, size), torch.optim.SGD, warmup_polynomial
    )
    for projection in module.projections:
        nn.init.eye_(projection.weight[:, :, 0, 0])  # type: ignore[arg-type]
    return module


def batch(size: int = 64, photos: int = 3) -> dict[str, Any]:
    images = torch.randint(0, 256, (photos, 3, size, size), generator=torch.Generator().manual_seed(1))
    return {"images": images.to(torch.uint8), "valid": torch.ones(photos, size // 4, size // 4, dtype=torch.bool)}


STRIDES = (4, 8, 16, 32)


@pytest.mark.parametrize(("factor", "offset", "expected"), [(1.0, 0.0, 0.0), (7.0, -30.0, 0.0), (-2.0, 5.0, 2.0)])
def test_features_that_differ_in_scale_and_offset_are_equal(factor: float, offset: float, expected: float) -> None:
    module = pretraining(Pooled(STRIDES), nn.Sequential(Normalise(), Pooled(STRIDES, factor, offset)))
    for loss in module.losses(batch()):
        assert loss.item() == pytest.approx(expected, abs=1e-4)


def test_the_loss_is_one_minus_the_mean_correlation_of_the_channels() -> None:
    class Noise(Pooled):
        def forward(self, images: Tensor) -> list[Tensor]:
            generator = torch.Generator().manual_seed(7)
            return [level + 40 * torch.randn(level.shape, generator=generator) for level in super().forward(images)]

    data = batch()
    module = pretraining(Pooled(STRIDES), Noise(STRIDES))
    ours = module.student(Normalise()(data["images"]))[1:]
    theirs = Noise(STRIDES)(data["images"].float())[1:]
    for loss, first, second in zip(module.losses(data), ours, theirs, strict=True):
        channels = zip(*(maps.movedim(1, 0).flatten(1) for maps in (first, second)), strict=True)
        correlations = [torch.corrcoef(torch.stack(pair))[0, 1] for pair in channels]
        assert loss.item() == pytest.approx(1 - torch.stack(correlations).mean().item(), abs=1e-4)
        assert 0.1 < loss.item() < 1.9


def test_a_teacher_on_another_grid_is_resampled() -> None:
    class Half(Pooled):
        def forward(self, images: Tensor) -> list[Tensor]:
            return [nn.functional.interpolate(level, scale_factor=1.5) for level in super().forward(images)]

    teacher = FeatureTeacher("pooled", Pooled(STRIDES), 64)
    module = pretraining(Pooled(STRIDES), Pooled(STRIDES))
    module.teacher = teacher
    teacher.network = Half(STRIDES)
    assert all(loss.item() < 0.5 for loss in module.losses(batch()))


def test_padding_does_not_count() -> None:
    data = batch(64)
    data["valid"][:, :, 8:] = False  # the right half of every photo is padding
    module = pretraining(Pooled(STRIDES), Pooled(STRIDES))
    before = [loss.item() for loss in module.losses(data)]
    teacher = module.teacher.network
    module.teacher.network = (
        lambda images: [  # type: ignore[assignment]
            torch.cat(
                [level[..., : level.shape[-1] // 2], torch.randn_like(level)[..., level.shape[-1] // 2 :]], dim=-1
            )
            for level in teacher(images)
        ]
    )
    module.teacher.network.to = lambda device: None  # type: ignore[method-assign]
    assert [loss.item() for loss in module.losses(data)] == pytest.approx(before, abs=1e-5)
    data["valid"][:] = True
    assert all(loss.item() > 0.2 for loss in module.losses(data))


def test_only_the_backbone_and_the_projections_train_and_are_saved() -> None:
    torch.manual_seed(0)
    teacher = build_backbone("mobilenetv3_small")
    module = FeaturePretraining(
        build_backbone("mobilenetv3_small"),
        FeatureTeacher("small", nn.Sequential(Normalise(), teacher), 64),
        partial(torch.optim.AdamW),
        warmup_polynomial,
        lr=1e-2,
    )
    assert {name.partition(".")[0] for name in module.state_dict()} == {"student", "projections"}
    frozen = {name: value.clone() for name, value in teacher.state_dict().items()}
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    data, losses = batch(), []
    for _ in range(12):
        loss = torch.stack(module.losses(data)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(torch.equal(value, frozen[name]) for name, value in teacher.state_dict().items())
    assert all(projection.weight.grad is not None for projection in module.projections)


def test_bfloat16_training_gives_a_finite_loss_in_float32() -> None:
    module = FeaturePretraining(
        build_backbone("mobilenetv3_small"),
        FeatureTeacher("small", nn.Sequential(Normalise(), build_backbone("mobilenetv3_small")), 64),
        partial(torch.optim.AdamW),
        warmup_polynomial,
    )
    with torch.autocast("cpu", torch.bfloat16):
        losses = torch.stack(module.losses(batch()))
    losses.sum().backward()
    assert losses.dtype == torch.float32 and torch.isfinite(losses).all()
    assert all(torch.isfinite(value.grad).all() for value in module.parameters() if value.grad is not None)
