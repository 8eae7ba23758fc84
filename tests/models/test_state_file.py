"""Checkpoints of other programs: wrappers are removed, other files are described, and no code of theirs runs."""

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from m2fp_kd.models.state_file import read_state

STATE = {"conv1.weight": torch.arange(6.0).reshape(2, 3), "bn1.bias": torch.ones(2)}


def prefixed(*prefixes: str) -> dict[str, torch.Tensor]:
    return {"".join(prefixes) + key: value for key, value in STATE.items()}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": {"state": {}}},
        {"state_dict": prefixed("module."), "best_acc1": np.float64(76.1)},
        {"model": {"state_dict": prefixed("module.", "_orig_mod.", "backbone.")}},
        {"model": {key: value.numpy() for key, value in STATE.items()}, "score": np.float32(0.5)},
    ],
    ids=["plain", "state_dict", "model", "module", "nested", "numpy"],
)
def test_wrappers_are_removed(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pth")
    found = read_state(tmp_path / "a.pth", "backbone.weights")
    assert found.keys() == STATE.keys() and all(torch.equal(found[key], STATE[key]) for key in STATE)


def test_safetensors(tmp_path: Path) -> None:
    save_file(prefixed("module."), tmp_path / "a.safetensors")
    assert read_state(str(tmp_path / "a.safetensors"), "backbone.weights").keys() == STATE.keys()


def test_a_prefix_of_some_names_is_part_of_them(tmp_path: Path) -> None:
    torch.save(prefixed("backbone.") | {"head.weight": torch.ones(1)}, tmp_path / "a.pth")
    assert "backbone.conv1.weight" in read_state(tmp_path / "a.pth", "backbone.weights")


class Code:
    """Run code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return pytest.fail, ("code of the file ran",)


def torchscript(path: Path) -> None:
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(str(path))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "a Git LFS pointer, .*lfs pull"),
        (lambda path: path.write_text("\n<!DOCTYPE html>"), "a web page, not a checkpoint; download the file itself"),
        (lambda path: path.write_bytes(pickle.dumps({"model": Code()})), "a pickle, as detectron2 writes; .*trust it"),
        (lambda path: torch.save({"args": argparse.Namespace()}, path), r"objects besides tensors \(argparse.Namesp"),
        (lambda path: torch.save({"a": Code()}, path), "objects besides tensors .*If you trust it: python -c"),
        (torchscript, "a TorchScript file, a broken checkpoint or another archive"),
        (lambda path: path.write_bytes(b"PK\x03\x04 half a file"), "a TorchScript file, a broken checkpoint"),
        (lambda path: path.write_bytes(b""), "broken or no checkpoint; download or copy it again"),
        (lambda path: torch.save([1, 2], path), r"expected a state dict \(tensor name -> tensor\), this file has none"),
        (lambda path: torch.save({"state_dict": {}}, path), "this file has none"),
        (lambda path: torch.save({"epoch": 3, **STATE}, path), "but epoch is no tensor; save the network's state_dict"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_other_files_are_described_in_one_line(tmp_path: Path, write: Any, message: str) -> None:
    path = tmp_path / "a file.pth"
    write(path)
    with pytest.raises(ValueError, match=message) as raised:
        read_state(path, "backbone.weights")
    assert str(raised.value).startswith(f"backbone.weights={path}: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"root:x:0:0:root:/root:/bin/bash\n", b"a", b"0\n.", b"(l.", b"]q\x00a."])
def test_bytes_of_any_file_are_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"^backbone.weights=\S+: "):
        read_state(tmp_path / "a.pth", "backbone.weights")


def test_a_broken_safetensors_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\x80broken")
    with pytest.raises(ValueError, match=r"a\.safetensors: broken or no checkpoint"):
        read_state(tmp_path / "a.safetensors", "backbone.weights")


def test_a_missing_file_is_named_with_its_option() -> None:
    with pytest.raises(FileNotFoundError, match=r"teacher\.checkpoint=nowhere\.pth: no such file"):
        read_state("nowhere.pth", "teacher.checkpoint")
