"""An artefact laid out as a model repository for other servers: Triton Inference Server, OpenVINO Model Server."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from m2fp_kd.runtime.artefact import ArtefactError, Card, find_model, load_card
from m2fp_kd.runtime.files import atomic_path, model_files

NAME = "parser"
"""Of the model in the repository."""


def triton(model: Path, card: Card, folder: Path) -> None:
    """`NAME/config.pbtxt` and `NAME/1/model.onnx`, for Triton's ONNX Runtime backend.

    Raises:
        ArtefactError: the artefact is no ONNX file.
    """
    if model.suffix != ".onnx":
        raise ArtefactError(f"{model}: Triton's ONNX Runtime backend runs .onnx files; give it the ONNX artefact")
    _copy([model], folder / NAME / "1")
    with atomic_path(folder / NAME / "config.pbtxt") as temporary:
        temporary.write_text(_config(card), encoding="utf-8")


def openvino_model_server(model: Path, card: Card, folder: Path) -> None:
    """`config.json` and `NAME/1/` with the model, for OpenVINO Model Server.

    Raises:
        ArtefactError: OpenVINO does not run such files.
    """
    if model.suffix not in (".onnx", ".xml"):
        raise ArtefactError(f"{model}: OpenVINO Model Server runs .onnx and .xml files; give it one of these")
    _copy(model_files(model), folder / NAME / "1")
    entry = {"name": NAME, "base_path": f"/models/{NAME}", "plugin_config": {"PERFORMANCE_HINT": "LATENCY"}}
    with atomic_path(folder / "config.json") as temporary:
        temporary.write_text(json.dumps({"model_config_list": [{"config": entry}]}, indent=1), encoding="utf-8")


SERVERS: dict[str, Callable[[Path, Card, Path], None]] = {
    "triton": triton,
    "openvino-model-server": openvino_model_server,
}


def export(artefact: Path, server: str, folder: Path) -> None:
    """Lay an artefact out for a server, its card beside it.

    Args:
        artefact: model file or folder.
        server: one of `SERVERS`.
        folder: of the repository.

    Raises:
        FileNotFoundError, ArtefactError: as `find_model` and `load_card`; or the server does not run such files.
    """
    model = find_model(artefact)
    card = load_card(model)
    SERVERS[server](model, card, folder)
    with atomic_path(folder / NAME / "card.json") as temporary:
        temporary.write_text(json.dumps(card.to_dict(), indent=1), encoding="utf-8")


def _copy(files: list[Path], folder: Path) -> None:
    for file in files:
        with atomic_path(folder / f"model{file.suffix}") as temporary:
            shutil.copyfile(file, temporary)


def _config(card: Card) -> str:
    """Triton's description; -1 is any size, and the first axis is the photos of a call."""
    parts, queries = card.labels.num_parts, -1
    shapes = {
        "part_map": ("TYPE_UINT8", [-1, -1]),
        "part_logits": ("TYPE_FP32", [parts, -1, -1]),
        "class_logits": ("TYPE_FP32", [queries, -1]),
        "mask_logits": ("TYPE_FP32", [queries, -1, -1]),
    }
    outputs = ",\n".join(_tensor(name, *shapes[name]) for name in card.outputs)
    return f"""name: "{NAME}"
backend: "onnxruntime"
max_batch_size: 0
input [
{_tensor("images", "TYPE_UINT8", [-1, -1, 3])}
]
output [
{outputs}
]
"""


def _tensor(name: str, kind: str, shape: list[int]) -> str:
    sizes = ", ".join(map(str, [-1, *shape]))
    return f'  {{ name: "{name}" data_type: {kind} dims: [ {sizes} ] }}'
