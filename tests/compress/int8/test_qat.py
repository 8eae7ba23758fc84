import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, numpy_helper
from torch import Tensor, nn

from m2fp_kd.compress.chain import torch_parse
from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.int8.qat import (
    FULL_RANGE,
    HALF_RANGE,
    Rounded,
    RoundedInput,
    RoundedWeight,
    finish,
    folded,
    prepare,
)
from m2fp_kd.compress.int8.static import quantise_static
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.models.outputs import StudentOutput
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.parser import Parser
from tests.compress.colour_student import COLOURS, canvases, tiny_m2fp_student
from tests.compress.unbalanced import train, unbalanced

CALIBRATION = range(200, 216)


@pytest.fixture
def images() -> Tensor:
    return torch.from_numpy(np.concatenate(canvases(range(2)))).permute(0, 3, 1, 2)


def _files(student: nn.Module, card: Card, folder: Path) -> Path:
    """Quantise the student to a static INT8 file."""
    export_onnx(student, folder / "fp32" / "model.onnx", card)
    int8 = folder / "int8" / "model.onnx"
    batches = canvases(CALIBRATION)
    quantise_static(folder / "fp32" / "model.onnx", batches, int8, replace(card, precision="int8"))
    return int8


def _weights(model: ModelProto) -> dict[str, np.ndarray]:
    """Return convolution -> its weight in the INT8 file."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    dequantisers = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    weights = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            values, scale = (constants[name] for name in dequantisers[node.input[1]].input[:2])
            assert values.dtype == np.int8
            weights[node.name] = values * scale.reshape(-1, *[1] * (values.ndim - 1))
    return weights


def _rounded(prepared: nn.Module) -> dict[str, Rounded]:
    return {name: module for name, module in prepared.named_modules() if isinstance(module, Rounded)}


def _accuracy(path: Path, photos) -> float:
    parser = Parser.load(path, threads=1)
    return float(np.mean([(parser(photo.image).part_map == photo.parts).mean() for photo in photos]))


@pytest.mark.parametrize("steps", [HALF_RANGE, FULL_RANGE])
def test_weights_are_rounded_to_the_nearest_step_of_their_channel(steps: float) -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 4, 3, 3) * torch.tensor([1.0, 2, 4, 8, 16, 32]).view(-1, 1, 1, 1)
    rounded = RoundedWeight(steps)(weight)
    scale = weight.abs().flatten(1).amax(1).view(-1, 1, 1, 1) / steps
    levels = rounded / scale
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
    assert levels.abs().max() <= round(steps) + 1e-4
    assert (rounded - weight).abs().le(0.5001 * scale).all()


def test_the_gradient_passes_straight_through_weights_and_stops_outside_an_input_range() -> None:
    weight = torch.randn(4, 3, requires_grad=True)
    coefficients = torch.randn(4, 3)
    (RoundedWeight(HALF_RANGE)(weight) * coefficients).sum().backward()
    torch.testing.assert_close(weight.grad, coefficients)
    values = torch.tensor([[-2.0, -0.5, 0.0, 0.7, 5.0]], requires_grad=True)
    RoundedInput(torch.tensor(-1.0), torch.tensor(2.0)).eval()(values).sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([[0.0, 1, 1, 1, 0]]))


def test_inputs_are_rounded_to_256_steps_that_hold_zero() -> None:
    rounding = RoundedInput(torch.tensor(-0.8), torch.tensor(1.9)).eval()
    rounded = rounding(torch.linspace(-1, 2, 10_001)[None]).unique()
    assert len(rounded) == 256
    assert 0.0 in rounded
    torch.testing.assert_close(rounded.diff(), torch.full((255,), 2.7 / 255), rtol=1e-3, atol=0)
    assert rounding(torch.full((1, 4), 0.3)).sub(0.3).abs().max() <= 2.7 / 255 / 2


def test_a_range_starts_at_the_mean_over_photos_and_follows_in_training_only() -> None:
    rounding = RoundedInput(torch.tensor(-1.0), torch.tensor(1.0))
    values = torch.stack([torch.linspace(-2, 4, 7), torch.linspace(-4, 2, 7)])
    rounding.eval()(values)
    assert (rounding.low, rounding.high) == (-1, 1)
    rounding.train()
    for _ in range(1000):
        rounding(values)
    torch.testing.assert_close(rounding.low, torch.tensor(-3.0), rtol=0, atol=1e-3)
    torch.testing.assert_close(rounding.high, torch.tensor(3.0), rtol=0, atol=1e-3)


def test_observed_ranges_are_means_of_each_photos_extremes(student: nn.Module) -> None:
    prepared = prepare(student, canvases(range(3)))
    normalised = [student.normalise(torch.from_numpy(canvas).permute(0, 3, 1, 2)) for canvas in canvases(range(3))]
    rounding = prepared.layers[0].rounded_input
    torch.testing.assert_close(rounding.low, torch.stack([image.min() for image in normalised]).mean())
    torch.testing.assert_close(rounding.high, torch.stack([image.max() for image in normalised]).mean())


@pytest.mark.parametrize("name", ["mobilenetv3_small", "shufflenetv2"])
def test_finishing_without_training_gives_the_folded_network(name: str, images: Tensor) -> None:
    torch.manual_seed(0)
    student = FPNStudent(build_backbone(name), COLOURS.num_parts, width=32).eval()
    before = {key: value.clone() for key, value in student.state_dict().items()}
    prepared = prepare(student, canvases(range(1)))
    finished, expected = finish(prepared), folded(student)
    with torch.inference_mode():
        assert torch.equal(finished(images).part_logits, expected(images).part_logits)
        assert not torch.equal(prepared(images).part_logits, expected(images).part_logits)
    assert finished.state_dict().keys() == expected.state_dict().keys()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in finished.modules())
    assert all(torch.equal(value, before[key]) for key, value in student.state_dict().items())


def test_a_prepared_student_trains_and_its_state_loads(student: nn.Module, images: Tensor) -> None:
    prepared = prepare(student, canvases(range(2))).train()
    output = prepared(images)
    assert isinstance(output, StudentOutput)
    output.part_logits.square().mean().backward()
    for name, parameter in prepared.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    train(prepared, steps=2, lr=1e-3)
    twin = prepare(student, canvases(range(1)))
    twin.load_state_dict(prepared.state_dict())
    with torch.inference_mode():
        assert torch.equal(twin.eval()(images).part_logits, prepared.eval()(images).part_logits)


def test_squeeze_excite_rounds_weights_only_and_depthwise_ones_in_full_range() -> None:
    torch.manual_seed(0)
    student = FPNStudent(build_backbone("mobilenetv3_small"), COLOURS.num_parts, width=32).eval()
    convolutions = {name for name, layer in folded(student).named_modules() if isinstance(layer, nn.Conv2d)}
    rounded = _rounded(prepare(student, canvases(range(1))))
    assert rounded.keys() == convolutions
    in_float = {name for name, module in rounded.items() if module.rounded_input is None}
    assert in_float == {name for name in convolutions if ".se." in name} != set()
    for name, module in rounded.items():
        full = name in in_float or module.layer.groups > 1
        assert module.rounded_weight.steps == (FULL_RANGE if full else HALF_RANGE), name


def test_training_rounds_the_layers_that_the_file_quantises(tmp_path: Path) -> None:
    torch.manual_seed(0)
    labels = LABEL_SETS["pascal_person_part"]
    student = tiny_m2fp_student(labels)
    rounded = _rounded(prepare(student, canvases(range(2))))
    in_training = {name for name, module in rounded.items() if module.rounded_input is not None}
    model = onnx.load(_files(student, Card(labels.to_dict(), {"size": 64}, "fp32", "m2fp"), tmp_path))
    constants = {tensor.name for tensor in model.graph.initializer}
    dequantised = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    weights = {name for name, node in dequantised.items() if node.input[0] in constants}
    carried = {
        node.output[0]: node.input[0]
        for node in model.graph.node
        if node.op_type in ("Reshape", "Transpose", "Unsqueeze")
    }

    def reads_int8(tensor: str) -> bool:
        return tensor in dequantised or (tensor in carried and reads_int8(carried[tensor]))

    in_file = {
        _module(node.name)
        for node in model.graph.node
        if node.op_type in ("Conv", "MatMul") and reads_int8(node.input[0]) and node.input[1] in weights
    }
    # The first layer's queries are constant, so the file does not quantise them.
    assert in_training - in_file == {"transformer_decoder.layers.0.cross_attention.query"}
    assert in_file <= in_training
    assert len(in_file) > 30


def _module(node: str) -> str:
    """Return the module of a node: "/student/a/a.0_1/Conv" -> "a.0"."""
    path: list[str] = []
    for part in node.split("/")[2:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path.pop()
        path.append(re.sub(r"_\d+$", "", part))  # the suffix counts the calls of a module
    return ".".join(path)


def test_the_file_holds_the_weights_that_training_rounded_and_no_float_copy(
    student: nn.Module, card: Card, photos, tmp_path: Path
) -> None:
    prepared = prepare(unbalanced(student, 100), canvases(CALIBRATION))
    train(prepared, steps=5, lr=1e-3)
    path = _files(finish(prepared), card, tmp_path)
    model = onnx.load(path)
    in_file = _weights(model)
    assert len(in_file) == 4
    for name, weight in in_file.items():
        rounded = prepared.get_submodule(_module(name)).weight.detach().numpy()
        np.testing.assert_allclose(weight, rounded, rtol=1e-5, atol=1e-7)
    normalisation = (1, 3, 1, 1)
    matrices = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer if len(tensor.dims) > 1]
    assert sum(matrix.dtype == np.int8 for matrix in matrices) == 4
    assert all(matrix.dtype == np.int8 or matrix.shape == normalisation for matrix in matrices)
    parse, parser = torch_parse(prepared, card), Parser.load(path, threads=1)
    assert np.mean([(parse(photo.image) == parser(photo.image).part_map).mean() for photo in photos]) > 0.99


def test_training_with_rounding_improves_int8(student: nn.Module, card: Card, photos, tmp_path: Path) -> None:
    hurt = unbalanced(student, 300)
    plain, rounded = folded(hurt), prepare(hurt, canvases(CALIBRATION))
    for network in (plain, rounded):
        train(network, steps=30, lr=1e-3)
    before = _accuracy(_files(hurt, card, tmp_path / "hurt"), photos)
    without = _accuracy(_files(plain, card, tmp_path / "plain"), photos)
    trained = _accuracy(_files(finish(rounded), card, tmp_path / "rounded"), photos)
    assert trained > max(before, without) + 0.03


def test_no_photos_is_an_error(student: nn.Module) -> None:
    with pytest.raises(ValueError, match="training photos"):
        prepare(student, [])
