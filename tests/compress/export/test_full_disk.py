"""A full disk while an artefact is written: the error names the file, and nothing half-written stays."""

from collections.abc import Callable
from pathlib import Path

import pytest

from m2fp_kd.compress.export.openvino import export_openvino
from m2fp_kd.compress.export.torch_export import export_torch_export
from m2fp_kd.compress.export.torchscript import export_torchscript
from tests.hostile.disk import full

EXPORTS: dict[str, Callable] = {
    "model.pt": export_torchscript,
    "model.pt2": export_torch_export,
    "model.xml": export_openvino,
}
"""Name of the file -> export. ONNX files are written by Python."""


@pytest.mark.parametrize("name", EXPORTS)
def test_every_format_names_the_file(name: str, student, card, fp32: Path, tmp_path: Path) -> None:
    path, source = tmp_path / name, fp32 if name == "model.xml" else student
    EXPORTS[name](source, path, card)
    whole = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with full(), pytest.raises(OSError) as error:
        EXPORTS[name](source, path, card)
    assert error.value.filename == str(path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == whole
