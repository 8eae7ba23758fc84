from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.export import ExportedProgram

from m2fp_kd.compress.export.deployable import deployable
from m2fp_kd.compress.int8.pt2e import quantise_pt2e
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.artefact import Card, load_card
from m2fp_kd.runtime.engines import open_engine
from tests.compress.colour_student import canvases, tiny_m2fp_student

LABELS = LABEL_SETS["pascal_person_part"]


@pytest.fixture(scope="module")
def model(student, card, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2e") / "model.pt2"
    quantise_pt2e(student, canvases(range(200, 216)), path, replace(card, precision="int8"))
    return path


def _load(model: Path) -> ExportedProgram:
    import torchao.quantization.pt2e  # noqa: F401 - registers the operations

    return torch.export.load(model)


def _activation_ranges(program: ExportedProgram) -> set[tuple[int, int]]:
    quantise = torch.ops.quantized_decomposed.quantize_per_tensor.default
    return {node.args[3:5] for node in program.graph.nodes if node.target is quantise}


def test_the_program_agrees_with_the_student(student, card, model: Path, photos) -> None:
    network, quantised = deployable(student, card), _load(model).module()
    images = torch.from_numpy(np.concatenate(canvases(range(300, 308))))
    with torch.inference_mode():
        assert (network(images)[0] == quantised(images)[0]).float().mean() > 0.98
    assert load_card(model).precision == "int8"


def test_weights_are_int8_without_float_copies(student, model: Path) -> None:
    program = _load(model)
    tensors = {name: tensor for name, tensor in program.state_dict.items() if tensor.ndim == 4}
    assert len(tensors) == 4
    assert all(tensor.dtype == torch.int8 for tensor in tensors.values())


def test_the_compiled_program_repeats_its_results(student, card, model: Path) -> None:
    engine = open_engine(model, threads=1)
    assert (engine.name, engine.precision, engine.outputs) == ("torch_export", "f32", ("part_map", "part_logits"))
    batches = canvases(range(300, 304))
    with torch.inference_mode():
        expected = [deployable(student, card)(torch.from_numpy(canvas))[0].numpy() for canvas in batches]
    for _ in range(2):
        maps = [engine(canvas)["part_map"] for canvas in batches]
        assert (np.stack(maps) == np.stack(expected)).mean() > 0.98


def test_linear_layers_stay_float(tmp_path: Path) -> None:
    torch.manual_seed(0)
    card = Card(LABELS.to_dict(), {"size": 64}, "int8", "m2fp")
    quantise_pt2e(tiny_m2fp_student(LABELS), canvases(range(2)), tmp_path / "model.pt2", card)
    nodes = list(_load(tmp_path / "model.pt2").graph.nodes)
    inputs = {
        kind: {str(source.target) for node in nodes if node.target is kind for source in node.all_input_nodes}
        for kind in (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default)
    }
    assert any("dequantize" in source for source in inputs[torch.ops.aten.conv2d.default])
    assert inputs[torch.ops.aten.linear.default]
    assert not any("dequantize" in source for source in inputs[torch.ops.aten.linear.default])


def test_activations_use_half_their_range(model: Path) -> None:
    """So that the sums of a file made on any CPU overflow on none."""
    assert _activation_ranges(_load(model)) == {(0, 127)}
