"""The engines of PyTorch's own files: outputs, threads and broken archives."""

import zipfile

import numpy as np
import pytest

from m2fp_kd.runtime import engines
from m2fp_kd.runtime.engines import EngineError, open_engine
from tests.runtime.tiny_onnx import IMAGES


@pytest.mark.parametrize("file", ["model.pt", "model.pt2"])
def test_without_torch_its_files_name_the_package_to_install(tmp_path, monkeypatch, file):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"torch is not installed: pip install .*\[train\]"):
        open_engine(tmp_path / file)


@pytest.fixture(params=["torchscript", "torch_export"])
def torch_model(request, tmp_path):
    """A TorchScript or torch.export file: the strongest channel, and the mean of each photo."""
    torch = pytest.importorskip("torch")

    class Strongest(torch.nn.Module):
        def forward(self, images):
            return images.argmax(3).to(torch.uint8), images.float().mean((1, 2, 3))

    example, extra = torch.zeros(2, 32, 64, 3, dtype=torch.uint8), {"outputs": '["part_map", "mean"]'}
    if request.param == "torchscript":
        path = tmp_path / "model.pt"
        torch.jit.save(torch.jit.trace(Strongest(), (example,)), path, _extra_files=extra)
    else:
        path = tmp_path / "model.pt2"
        program = torch.export.export(Strongest(), (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        program.example_inputs = None
        torch.export.save(program, path, extra_files=extra)
    return request.param, path


def test_torch_engines_keep_the_contract(torch_model):
    import torch

    name, path = torch_model
    before = torch.get_num_threads()
    engine = open_engine(path, threads=before + 1, precision="auto")
    assert (engine.name, engine.precision, engine.outputs) == (name, "f32", ("part_map", "mean"))
    first = engine(IMAGES)
    np.testing.assert_array_equal(first["part_map"], IMAGES.argmax(axis=3))
    np.testing.assert_allclose(first["mean"], IMAGES.mean(axis=(1, 2, 3)), rtol=1e-5)
    assert torch.get_num_threads() == before  # the number is global to the process, which may be training
    kept = first["part_map"].copy()
    readonly = 255 - IMAGES
    readonly.flags.writeable = False
    engine(readonly)
    np.testing.assert_array_equal(first["part_map"], kept)
    assert set(open_engine(path, name, outputs=["mean"])(IMAGES[:1])) == {"mean"}
    with pytest.raises(EngineError, match="no output part_score, only part_map, mean"):
        open_engine(path, outputs=["part_score"])


def test_torch_engines_run_in_as_many_threads_as_asked(tmp_path):
    torch = pytest.importorskip("torch")
    from m2fp_kd.runtime.engines.pytorch import torch_engine

    def threads(images):
        return (torch.tensor([torch.get_num_threads()]),)

    wanted = torch.get_num_threads() + 2
    engine = torch_engine("torchscript", threads, tmp_path / "model.pt", ["number"], wanted, None)
    assert engine(IMAGES)["number"] == wanted


@pytest.mark.parametrize(("file", "engine"), [("model.pt", "torchscript"), ("model.pt2", "torch_export")])
def test_a_broken_or_foreign_archive_is_named(tmp_path, file, engine):
    pytest.importorskip("torch")
    path = tmp_path / file
    path.write_bytes(b"no archive")
    with pytest.raises(EngineError, match=rf"{file}: is broken"):
        open_engine(path, engine)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"")
    with pytest.raises(EngineError, match=rf"{file}: does not name its outputs; was it exported by m2fp-kd"):
        open_engine(path)
