"""Export an artefact as a model repository of Triton Inference Server or OpenVINO Model Server."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from m2fp_kd.runtime.artefact import CARD_NAME, CHECKS_NAME, ArtefactError, Card, find_model, load_card, load_checks
from m2fp_kd.runtime.files import atomic_path, model_files

NAME = "parser"
"""Name of the model in the repository."""


def triton(model: Path, card: Card, folder: Path) -> None:
    """Write `NAME/config.pbtxt` and `NAME/1/model.onnx` for Triton's ONNX Runtime backend.

    Raises:
        ArtefactError: the artefact is not an ONNX file.
    """
    if model.suffix != ".onnx":
        raise ArtefactError(f"{model}: Triton's ONNX Runtime backend runs .onnx files; pass the ONNX artefact")
    _copy([model], folder / NAME / "1")
    with atomic_path(folder / NAME / "config.pbtxt") as temporary:
        temporary.write_text(_config(card), encoding="utf-8")


def openvino_model_server(model: Path, card: Card, folder: Path) -> None:
    """Write `config.json` and the model in `NAME/1/` for OpenVINO Model Server.

    Raises:
        ArtefactError: the artefact is neither an ONNX file nor in OpenVINO's format.
    """
    if model.suffix not in (".onnx", ".xml"):
        raise ArtefactError(f"{model}: OpenVINO Model Server runs .onnx and .xml files; pass one of these")
    _copy(model_files(model), folder / NAME / "1")
    entry = {"name": NAME, "base_path": f"/models/{NAME}", "plugin_config": {"PERFORMANCE_HINT": "LATENCY"}}
    with atomic_path(folder / "config.json") as temporary:
        temporary.write_text(json.dumps({"model_config_list": [{"config": entry}]}, indent=1), encoding="utf-8")


SERVERS: dict[str, Callable[[Path, Card, Path], None]] = {
    "triton": triton,
    "openvino-model-server": openvino_model_server,
}


def export(artefact: Path, server: str, folder: Path) -> None:
    """Write an artefact, its card and its check results as the model repository of a server.

    Args:
        artefact: model file or its folder.
        server: one of `SERVERS`.
        folder: folder of the repository.

    Raises:
        FileNotFoundError: there is no such artefact.
        ArtefactError: the artefact's card is missing or describes another file, or the server does not run its format.
    """
    model = find_model(artefact)
    card = load_card(model)
    SERVERS[server](model, card, folder)
    for name, content in ((CARD_NAME, card.to_dict()), (CHECKS_NAME, load_checks(model).to_dict())):
        with atomic_path(folder / NAME / name) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _copy(files: list[Path], folder: Path) -> None:
    for file in files:
        with atomic_path(folder / f"model{file.suffix}") as temporary:
            shutil.copyfile(file, temporary)


def _config(card: Card) -> str:
    """Return Triton's model configuration; -1 is any size, and the first axis counts the photos of a call."""
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
