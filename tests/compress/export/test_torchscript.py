import pickletools
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

from m2fp_kd.compress.export.deployable import deployable
from m2fp_kd.compress.export.torchscript import export_torchscript
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.artefact import Card, load_card
from m2fp_kd.runtime.engines import open_engine
from tests.compress.colour_student import tiny_m2fp_student
from tests.handed_on import named_folders

CIHP = LABEL_SETS["cihp"]


@pytest.fixture
def model(student, card, tmp_path: Path) -> Path:
    export_torchscript(student, tmp_path / "ts" / "model.pt", card)
    return tmp_path / "ts" / "model.pt"


def test_batch_norms_are_folded_and_weights_are_constants(model: Path, card: Card) -> None:
    loaded = torch.jit.load(model)
    assert not list(loaded.parameters())
    operations = {node.kind() for node in loaded.inlined_graph.nodes()}
    assert "aten::_convolution" in operations or "aten::conv2d" in operations
    assert "aten::batch_norm" not in operations
    assert load_card(model) == replace(card, outputs=["part_map", "part_logits"])


def test_pickled_parts_name_only_tensors_and_the_network(model: Path) -> None:
    with zipfile.ZipFile(model) as archive:
        pickles = [archive.read(name) for name in archive.namelist() if name.endswith(".pkl")]
    operations = [operation for data in pickles for operation in pickletools.genops(data)]
    named = {argument for operation, argument, _ in operations if operation.name == "GLOBAL"}
    assert named
    allowed = ("torch._utils _rebuild_tensor", "torch FloatStorage", "torch LongStorage", "torch DoubleStorage")
    allowed += ("collections OrderedDict", "__torch__.m2fp_kd.compress.export.deployable.")
    assert all(name.startswith(allowed) for name in named)


def test_size_and_batch_are_dynamic_even_with_a_fixed_geometry(student, card, model: Path) -> None:
    engine, network = open_engine(model, threads=1), deployable(student, card)
    assert (engine.name, engine.precision, engine.outputs) == ("torchscript", "f32", ("part_map", "part_logits"))
    for shape in ((1, 64, 64, 3), (3, 64, 64, 3), (2, 96, 32, 3)):
        canvases = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        with torch.inference_mode():
            expected, _ = network(torch.from_numpy(canvases))
        assert (engine(canvases)["part_map"] == expected.numpy()).mean() > 0.999


def test_queries_are_named_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = tiny_m2fp_student(CIHP)
    card = Card(CIHP.to_dict(), {"size": 64}, "fp32", "m2fp")
    export_torchscript(student, tmp_path / "model.pt", card)
    canvases = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    found = open_engine(tmp_path / "model.pt", threads=1, outputs=["mask_logits", "part_map"])(canvases)
    with torch.inference_mode():
        part_map, _, _, mask_logits = deployable(student, card)(torch.from_numpy(canvases))
    assert set(found) == {"mask_logits", "part_map"}
    assert (found["part_map"] == part_map.numpy()).mean() > 0.999
    np.testing.assert_allclose(found["mask_logits"], mask_logits, atol=1e-5)


def test_exporting_does_not_change_the_student(student, card, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in student.state_dict().items()}
    export_torchscript(student, tmp_path / "model.pt", replace(card))
    assert before.keys() == student.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_interrupted_export_leaves_no_file(student, card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(module: torch.jit.ScriptModule, file: BytesIO, **options: object) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.jit, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_torchscript(student, tmp_path / "ts" / "model.pt", card)
    assert list((tmp_path / "ts").iterdir()) == []


def test_the_file_names_no_folder_of_this_machine(model: Path) -> None:
    assert not named_folders(model.parent)
