import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
import pytest

from m2fp_kd.compress.export.openvino import export_openvino
from m2fp_kd.runtime.artefact import ArtefactError, load_card
from m2fp_kd.runtime.engines import open_engine
from m2fp_kd.runtime.parser import Parser


def _weights(model: Path) -> dict[str, int]:
    """Count values by type among constants of at least 100 values."""
    counts: dict[str, int] = {}
    for node in openvino.Core().read_model(model).get_ordered_ops():
        if node.get_type_name() == "Constant" and (size := int(np.prod(node.get_output_shape(0)))) >= 100:
            kind = node.get_element_type().get_type_name()
            counts[kind] = counts.get(kind, 0) + size
    return counts


def test_fp32_weights_and_results_do_not_change(fp32: Path, card, photos, tmp_path: Path) -> None:
    model = tmp_path / "openvino" / "model.xml"
    export_openvino(fp32, model, card)
    assert set(_weights(model)) == {"f32"}
    assert {path.name for path in model.parent.iterdir()} == {"model.xml", "model.bin", "card.json"}
    before, after = Parser.load(fp32, "openvino", threads=1), Parser.load(model.parent, threads=1)
    assert after.engine.name == "openvino"
    for photo in photos:
        np.testing.assert_array_equal(before(photo.image).part_map, after(photo.image).part_map)


def test_int8_weights_stay_int8(int8: Path, card, photos, tmp_path: Path) -> None:
    model = tmp_path / "model.xml"
    export_openvino(int8, model, replace(card, precision="int8"))
    weights = _weights(model)
    assert weights["i8"] > 900 and "f32" not in weights
    before, after = Parser.load(int8, "openvino", threads=1), Parser.load(model, threads=1)
    for photo in photos:
        assert (before(photo.image).part_map == after(photo.image).part_map).mean() > 0.999


def test_constant_operations_are_folded(int8: Path, card, tmp_path: Path) -> None:
    """Scales and zero points are half of an INT8 ONNX file's operations and slow down every start."""
    export_openvino(int8, tmp_path / "model.xml", replace(card, precision="int8"))
    before, after = (len(openvino.Core().read_model(model).get_ops()) for model in (int8, tmp_path / "model.xml"))
    assert after < 0.5 * before


def test_the_new_card_replaces_the_source_card(fp32: Path, card, tmp_path: Path) -> None:
    model = tmp_path / "model.xml"
    export_openvino(fp32, model, replace(card, git_commit="new"))
    assert load_card(model).git_commit == "new"
    assert "m2fp_kd.card" not in model.read_text()
    assert set(json.loads((tmp_path / "card.json").read_text())["sha256"]) == {"model.xml", "model.bin"}
    (tmp_path / "card.json").unlink()
    with pytest.raises(ArtefactError, match="no card"):
        load_card(model)


def test_interrupted_export_leaves_the_old_pair(fp32: Path, card, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model.xml"
    export_openvino(fp32, model, card)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(openvino, "save_model", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_openvino(fp32, model, replace(card, git_commit="new"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert open_engine(model, threads=1).outputs == ("part_map", "part_logits")
