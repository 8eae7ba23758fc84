import json
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.export import Dim

from m2fp_kd.compress.export.deployable import deployable
from m2fp_kd.compress.export.torch_export import export_torch_export
from m2fp_kd.runtime.artefact import Card, load_card
from m2fp_kd.runtime.engines import EngineError, open_engine
from tests.handed_on import named_folders


@pytest.fixture(scope="module")
def fixed(student, card, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fixed") / "model.pt2"
    export_torch_export(student, path, card)
    return path


@pytest.fixture(scope="module")
def dynamic(student, card, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dynamic") / "model.pt2"
    export_torch_export(student, path, replace(card, geometry={"size": 128, "fixed": False}))
    return path


def _agreement(model: Path, student: torch.nn.Module, card: Card, shape: tuple[int, ...]) -> float:
    canvases = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with torch.inference_mode():
        expected, _ = deployable(student, card)(torch.from_numpy(canvases))
    engine = open_engine(model, threads=1)
    assert (engine.name, engine.precision, engine.outputs) == ("torch_export", "f32", ("part_map", "part_logits"))
    return (engine(canvases)["part_map"] == expected.numpy()).mean()


@pytest.mark.parametrize("batch", [1, 3])
def test_fixed_size_any_batch(student, card, fixed: Path, batch: int) -> None:
    assert load_card(fixed) == replace(card, outputs=["part_map", "part_logits"])
    assert _agreement(fixed, student, card, (batch, 64, 64, 3)) > 0.999


@pytest.mark.parametrize("shape", [(1, 64, 64, 3), (2, 96, 128, 3), (1, 128, 64, 3)])
def test_dynamic_size(student, card, dynamic: Path, shape: tuple[int, ...]) -> None:
    assert _agreement(dynamic, student, card, shape) > 0.999


def test_a_canvas_outside_the_exported_sizes_is_an_error(fixed: Path, dynamic: Path) -> None:
    with pytest.raises(EngineError, match=r"model\.pt2: cannot run canvases of \(1, 96, 64, 3\) "):
        open_engine(fixed)(np.zeros((1, 96, 64, 3), np.uint8))
    with pytest.raises(EngineError, match=r"cannot run canvases of \(1, 32, 64, 3\) "):
        open_engine(dynamic)(np.zeros((1, 32, 64, 3), np.uint8))


def test_the_archive_holds_json_and_raw_tensors_and_no_pickle(fixed: Path) -> None:
    with zipfile.ZipFile(fixed) as archive:
        files = {entry.filename.split("/", 1)[1]: archive.read(entry) for entry in archive.infolist()}
    assert files["data/sample_inputs/model.pt"] == b""
    configs = [json.loads(data)["config"] for name, data in files.items() if name.endswith("_config.json")]
    assert len(configs) == 2
    assert not any(entry["use_pickle"] for config in configs for entry in config.values())
    assert not any(name.endswith(".pkl") for name in files)


def test_a_program_with_pickled_inputs_is_not_loaded(tmp_path: Path) -> None:
    class Strongest(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (images.argmax(3).to(torch.uint8),)

    example = (torch.zeros(2, 64, 64, 3, dtype=torch.uint8),)
    program = torch.export.export(Strongest(), example, dynamic_shapes=({0: Dim("batch")},))
    torch.export.save(program, tmp_path / "model.pt2", extra_files={"outputs": '["part_map"]'})
    with pytest.raises(EngineError, match=r"model\.pt2: holds pickled sample inputs"):
        open_engine(tmp_path / "model.pt2")


def test_batch_norms_are_folded(fixed: Path) -> None:
    operations = {str(node.target) for node in torch.export.load(fixed).graph.nodes if node.op == "call_function"}
    assert any("conv2d" in name for name in operations)
    assert not any("batch_norm" in name for name in operations)


def test_interrupted_export_leaves_no_file(student, card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(program: object, file: BytesIO, **options: object) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.export, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_torch_export(student, tmp_path / "torch_export" / "model.pt2", card)
    assert list((tmp_path / "torch_export").iterdir()) == []


def test_the_file_names_no_folder_of_this_machine(fixed: Path) -> None:
    assert not named_folders(fixed.parent)
