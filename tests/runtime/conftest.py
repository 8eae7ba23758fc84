"""Tiny artefacts that need no training: a part is the strongest colour channel."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.labels import LABEL_SETS, LabelSet, distinct_colours
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.geometry import Geometry

COLOURS = LabelSet("colours", ("background", "green", "blue"), distinct_colours(3))
"""The padding colour is reddest, hence background."""

GOLDEN = Path(__file__).parents[1] / "golden" / "m2fp_postprocess.npz"


def write_model(path: Path, constants: dict[str, np.ndarray] | None = None) -> None:
    """Write an ONNX model: `part_map` is the strongest channel of `images`, further outputs are constants."""
    onnx = pytest.importorskip("onnx", reason="making ONNX files needs the compress extra")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=types.FLOAT),
        helper.make_node("ArgMax", ["values"], ["strongest"], axis=3, keepdims=0),
        helper.make_node("Cast", ["strongest"], ["part_map"], to=types.UINT8),
    ]
    outputs = [helper.make_tensor_value_info("part_map", types.UINT8, ["N", "H", "W"])]
    initializers = []
    for name, values in (constants or {}).items():
        initializers.append(onnx.numpy_helper.from_array(values, f"{name}_values"))
        nodes.append(helper.make_node("Identity", [f"{name}_values"], [name]))
        outputs.append(helper.make_tensor_value_info(name, types.FLOAT, values.shape))
    images = helper.make_tensor_value_info("images", types.UINT8, ["N", "H", "W", 3])
    graph = helper.make_graph(nodes, "tiny", [images], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


@pytest.fixture
def artefact(tmp_path: Path) -> Callable[..., Path]:
    """Make an artefact folder with a per-pixel model; keyword arguments go into its card."""

    def make(fixed: bool = True, **card: object) -> Path:
        model = tmp_path / "artefact" / "model.onnx"
        write_model(model)
        known = {"label_set": COLOURS.to_dict(), "geometry": asdict(Geometry(64, fixed))}
        save_card(model, Card(**(known | {"precision": "fp32", "head": "fpn"} | card)))
        return model.parent

    return make


@pytest.fixture
def people_artefact(tmp_path: Path) -> Path:
    """An artefact of CIHP's labels whose mask classification returns the golden logits for every photo of 180 x 225."""
    with np.load(GOLDEN) as golden:
        constants = {"class_logits": golden["pred_logits"], "mask_logits": golden["pred_masks"]}
    model = tmp_path / "people" / "model.onnx"
    write_model(model, constants)
    geometry = asdict(Geometry(150, fixed=False))
    save_card(model, Card(LABEL_SETS["cihp"].to_dict(), geometry, "fp32", "m2fp", people="persons"))
    return model.parent


@pytest.fixture
def stripes() -> np.ndarray:
    """A photo (45, 90): a red, a green and a blue third."""
    photo = np.zeros((45, 90, 3), np.uint8)
    for channel in range(3):
        photo[:, 30 * channel : 30 * (channel + 1), channel] = 200
    return photo
