"""The targets that a live and a cached teacher give for a batch."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from m2fp_kd.data.bridging import cross
from m2fp_kd.distill.losses.kl import Kl
from m2fp_kd.distill.objective import Objective
from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.distill.teachers.resample import resample, resample_log_parts
from m2fp_kd.distill.teachers.sources import CachedTeacher, LiveTeacher
from m2fp_kd.distill.teachers.whole_photo import WholePhotoTeacher
from m2fp_kd.distill.training.module import Distillation
from m2fp_kd.distill.training.schedule import warmup_polynomial
from m2fp_kd.labels import LABEL_SETS, find_bridge
from m2fp_kd.models.outputs import log_parts
from m2fp_kd.runtime.geometry import Geometry
from tests.distill.tiny import RedIsHat, tiny_m2fp

CIHP = LABEL_SETS["cihp"]
BRIDGE = find_bridge(CIHP, LABEL_SETS["pascal_person_part"])
assert BRIDGE is not None


def batch() -> dict[str, torch.Tensor]:
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return {"images": images, "valid": torch.ones(2, 16, 16, dtype=torch.bool)}


def test_a_live_teacher_gives_its_frozen_networks_output() -> None:
    network = tiny_m2fp()
    teacher = LiveTeacher([PartModel(network, CIHP, Geometry(64))])
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
    target = LiveTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(128))])(batch() | {"images": images})
    assert target.queries is not None and target.features is not None
    assert not any(tensor.requires_grad for tensor in (target.log_parts, target.features, target.queries.mask_logits))


def test_a_teacher_is_not_part_of_the_training_module() -> None:
    teacher = LiveTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(64))])
    labels = LABEL_SETS["cihp"]
    objective = Objective({"kl": Kl(labels)}, {"kl": 1.0})
    student, optimizer = nn.Conv2d(3, 20, 4, stride=4), partial(torch.optim.SGD, lr=0.1)
    module = Distillation(student, objective, labels, Geometry(64), optimizer, warmup_polynomial, teacher)
    module.train()
    assert student.training and not any(part.training for part in teacher.models[0].network.modules())
    assert {name for name, _ in module.named_parameters()} == {"student.weight", "student.bias"}
    assert not set(teacher.models[0].network.state_dict()) & {name.split(".", 1)[1] for name in module.state_dict()}


@pytest.mark.parametrize("size", [32, 64, 128])
def test_a_teacher_of_any_size_answers_on_the_students_grid(size: int) -> None:
    target = LiveTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(size))])(batch())
    assert target.log_parts.shape == (2, 20, 16, 16)
    assert torch.allclose(target.log_parts.exp().sum(dim=1), torch.ones(2, 16, 16), atol=1e-4)
    assert target.queries is not None and target.queries.mask_logits.shape == (2, 8, 16, 16)
    assert target.features is not None and target.features.shape == (2, 32, 16, 16)


def test_a_larger_teacher_sees_the_enlarged_photo_and_its_answer_is_averaged() -> None:
    network = tiny_m2fp()
    target = LiveTeacher([PartModel(network, CIHP, Geometry(128))])(batch())
    with torch.no_grad():
        fine = network(resample(batch()["images"].float(), (128, 128)))
    assert torch.allclose(target.log_parts, resample_log_parts(log_parts(fine, 20), (16, 16)), atol=1e-5)
    assert target.queries is not None and target.features is not None
    assert torch.allclose(target.queries.mask_logits, resample(fine.mask_logits, (16, 16)), atol=1e-5)
    assert torch.allclose(target.features, resample(fine.mask_features, (16, 16)), atol=1e-5)


@pytest.mark.parametrize("size", [64, 128, 192, 256])
def test_a_live_and_a_cached_teacher_give_the_same_target_for_a_whole_photo(size: int) -> None:
    """The cache's codec is left out; without antialiasing a live teacher would differ by 0.18 or more."""
    photo = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    images, valid = torch.from_numpy(photo).permute(2, 0, 1)[None], torch.ones(1, 32, 32, dtype=torch.bool)
    live = LiveTeacher([PartModel(RedIsHat(), CIHP, Geometry(size))])(
        {"images": images, "valid": valid}
    ).log_parts.numpy()
    cached = WholePhotoTeacher([PartModel(RedIsHat(), CIHP, Geometry(size))], Geometry(128)).log_parts(photo)[:1]
    np.testing.assert_allclose(np.exp(live), np.exp(cached), rtol=0, atol=0.02)
    assert np.exp(cached).std() > 0.1


@pytest.mark.parametrize("size", [64, 96])
def test_a_bridge_converts_to_the_students_parts(size: int) -> None:
    own = LiveTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(size))])(batch())
    target = LiveTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(size), BRIDGE)])(batch())
    assert torch.equal(target.log_parts, cross(own.log_parts, BRIDGE)) and target.log_parts.shape == (2, 7, 16, 16)
    assert torch.equal(target.features, own.features) and torch.equal(target.valid, own.valid)


def test_a_bridged_teacher_gives_no_queries() -> None:
    teacher = LiveTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(64), BRIDGE)])
    assert teacher.gives == {"log_parts", "features"} and teacher(batch()).queries is None


def test_a_cached_teacher_returns_the_batchs_targets() -> None:
    cached = batch() | {"log_parts": torch.randn(2, 20, 16, 16).log_softmax(dim=1)}
    target = CachedTeacher()(cached)
    assert target.log_parts is cached["log_parts"] and target.valid is cached["valid"]
    assert CachedTeacher.gives == {"log_parts"} and target.queries is None and target.features is None
