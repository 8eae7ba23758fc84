"""What a live and a cached teacher say of a batch."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from m2fp_kd.distill.losses.kl import Kl
from m2fp_kd.distill.objective import Objective
from m2fp_kd.distill.teachers.live import CachedTeacher, LiveTeacher
from m2fp_kd.distill.training.module import Distillation
from m2fp_kd.distill.training.schedule import warmup_polynomial
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.outputs import log_parts
from m2fp_kd.runtime.geometry import Geometry
from tests.distill.tiny import tiny_m2fp


def batch() -> dict[str, torch.Tensor]:
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return {"images": images, "valid": torch.ones(2, 16, 16, dtype=torch.bool)}


def test_a_live_teacher_is_its_network_frozen() -> None:
    network = tiny_m2fp()
    teacher = LiveTeacher(network, num_parts=20, size=64)
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    target = teacher(batch())
    with torch.no_grad():
        expected = log_parts(network(batch()["images"].float()), 20)
    assert torch.equal(target.log_parts, expected) and not target.log_parts.requires_grad
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert target.queries is not None and target.features is not None
    assert {"log_parts", "queries", "features"} <= teacher.gives
    assert target.features.shape[1] == teacher.channels == 32


def test_no_gradient_flows_through_a_live_teacher() -> None:
    images = batch()["images"].float().requires_grad_()
    target = LiveTeacher(tiny_m2fp(), num_parts=20, size=128)(batch() | {"images": images})
    assert target.queries is not None and target.features is not None
    assert not any(tensor.requires_grad for tensor in (target.log_parts, target.features, target.queries.mask_logits))


def test_a_teacher_is_no_part_of_the_module_that_trains() -> None:
    teacher = LiveTeacher(tiny_m2fp(), num_parts=20, size=64)
    labels = LABEL_SETS["cihp"]
    objective = Objective({"kl": Kl(labels)}, {"kl": 1.0})
    student, optimizer = nn.Conv2d(3, 20, 4, stride=4), partial(torch.optim.SGD, lr=0.1)
    module = Distillation(student, objective, labels, Geometry(64), optimizer, warmup_polynomial, teacher)
    module.train()
    assert student.training and not any(part.training for part in teacher.network.modules())
    assert {name for name, _ in module.named_parameters()} == {"student.weight", "student.bias"}
    assert not set(teacher.network.state_dict()) & {name.split(".", 1)[1] for name in module.state_dict()}


@pytest.mark.parametrize("size", [32, 64, 128])
def test_whatever_the_teachers_size_it_answers_on_the_students_grid(size: int) -> None:
    target = LiveTeacher(tiny_m2fp(), num_parts=20, size=size)(batch())
    assert target.log_parts.shape == (2, 20, 16, 16)
    assert torch.allclose(target.log_parts.exp().sum(dim=1), torch.ones(2, 16, 16), atol=1e-4)
    assert target.queries is not None and target.queries.mask_logits.shape == (2, 8, 16, 16)
    assert target.features is not None and target.features.shape == (2, 32, 16, 16)


def test_a_larger_teacher_sees_the_enlarged_photo() -> None:
    network = tiny_m2fp()
    target = LiveTeacher(network, num_parts=20, size=128)(batch())
    enlarged = F.interpolate(batch()["images"].float(), size=(128, 128), mode="bilinear", align_corners=False)
    with torch.no_grad():
        fine = network(enlarged)
    assert torch.allclose(target.log_parts.exp(), F.avg_pool2d(log_parts(fine, 20).exp(), 2), atol=1e-4)
    assert target.queries is not None and target.features is not None
    assert torch.allclose(target.queries.mask_logits, F.avg_pool2d(fine.mask_logits, 2), atol=1e-4)
    assert torch.allclose(target.features, F.avg_pool2d(fine.mask_features, 2), atol=1e-4)


def test_a_cached_teacher_repeats_the_batch() -> None:
    cached = batch() | {"log_parts": torch.randn(2, 20, 16, 16).log_softmax(dim=1)}
    target = CachedTeacher()(cached)
    assert target.log_parts is cached["log_parts"] and target.valid is cached["valid"]
    assert CachedTeacher.gives == {"log_parts"} and target.queries is None and target.features is None
