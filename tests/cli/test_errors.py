"""Every error is one line on stderr with an exit code, without a traceback."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd import cli

COMMANDS = ("parse", "serve", "bench", "card", "export")


@pytest.fixture
def photo(tmp_path, stripes):
    Image.fromarray(stripes).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def errors(capsys, arguments, code):
    assert cli.main([str(argument) for argument in arguments]) == code
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


def one_line(capsys, *arguments):
    text = errors(capsys, arguments, 2)
    (line,) = [line for line in text.splitlines() if line.startswith("m2fp-kd: ")]
    assert text.endswith(f"{line}\n")
    return line


@pytest.mark.parametrize("name", ["gone.jpg", "gone/", "gone.mp4"])
def test_a_missing_source(artefact, tmp_path, capsys, name):
    line = one_line(capsys, "parse", "-a", artefact(), tmp_path / name, "-o", tmp_path / "out")
    assert line == f"m2fp-kd: {tmp_path / name}: no such photo, video or folder"


@pytest.mark.parametrize(
    ("name", "data"),
    [("text.jpg", b"this is a text\n" * 20), ("empty.png", b""), ("cut.jpg", None), ("notes.txt", b"a text")],
)
def test_a_file_that_is_not_a_photo(artefact, tmp_path, capsys, name, data):
    if data is None:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)).save(tmp_path / "whole.jpg")
        data = (tmp_path / "whole.jpg").read_bytes()[:2000]
    (tmp_path / name).write_bytes(data)
    out = tmp_path / "out"
    text = errors(capsys, ["parse", "-a", artefact(), tmp_path / name, "-o", out], 1)
    assert f"failed: {tmp_path / name}: cannot be read as a photo (" in text
    assert text.endswith(f"0 parsed, 1 failed in {out}\n")
    assert not list(out.iterdir())


def test_an_empty_folder(artefact, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    line = one_line(capsys, "parse", "-a", artefact(), tmp_path / "empty", "-o", tmp_path / "out")
    assert line == f"m2fp-kd: no photos or videos in {tmp_path / 'empty'}"


def test_an_output_folder_that_is_a_file(artefact, photo, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    line = one_line(capsys, "parse", "-a", artefact(), photo, "-o", tmp_path / "out" / "deep")
    assert line == f"m2fp-kd: {tmp_path / 'out' / 'deep'}: Not a directory"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write to")
def test_an_output_folder_that_cannot_be_written(artefact, photo, capsys):
    assert one_line(capsys, "parse", "-a", artefact(), photo, "-o", "/proc/out").startswith("m2fp-kd: /proc/out: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error(artefact, photo, tmp_path, capsys):
    (tmp_path / "log").symlink_to("/dev/full")
    command = [sys.executable, "-m", "m2fp_kd", "parse", "-a", artefact(), photo, "-o", tmp_path / "out", "--json"]
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    with (tmp_path / "log").open("w") as log:
        done = subprocess.run(command, env=environment, stdout=log, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and done.stderr == "m2fp-kd: [Errno 28] No space left on device\n"


def test_an_unknown_engine(artefact, photo, tmp_path, capsys):
    line = one_line(capsys, "parse", "-a", artefact(), photo, "-o", tmp_path / "out", "--engine", "tensorrt")
    assert line == "m2fp-kd: unknown engine 'tensorrt'; choose from openvino, onnxruntime, torchscript, torch_export"


def test_an_engine_for_other_files(artefact, photo, tmp_path, capsys):
    line = one_line(capsys, "parse", "-a", artefact(), photo, "-o", tmp_path / "out", "--engine", "torchscript")
    assert "torchscript runs .pt files, not model.onnx; use the openvino or onnxruntime engine" in line


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("gone", "gone: no such artefact"),
        ("photo.png", "photo.png: has no card.json beside it and none embedded; was it exported by m2fp-kd?"),
        ("text.onnx", "/text.onnx: cannot be read ("),
        ("empty", "found none; name the file itself"),
    ],
)
def test_a_wrong_artefact(photo, tmp_path, capsys, command, name, cause):
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "empty").mkdir()
    out = ["-o", tmp_path / "out"]
    arguments = {
        "parse": ["-a", tmp_path / name, photo, *out],
        "serve": ["-a", tmp_path / name, "--port", "0"],
        "bench": [tmp_path / name],
        "card": [tmp_path / name],
        "export": ["triton", "-a", tmp_path / name, *out],
    }[command]
    assert cause in one_line(capsys, command, *arguments)


def test_a_reader_that_closes_the_pipe(artefact):
    command = [sys.executable, "-m", "m2fp_kd", "card", "--json", artefact()]
    read, write = os.pipe()
    os.close(read)
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, env=environment, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_port_that_is_taken(artefact):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "m2fp_kd", "serve", "-a", artefact(), f"--port={port}"]
        environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Address already in use" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [*COMMANDS, "benchmark", "runs", "diff"])
def test_every_help_shows_examples_and_exit_codes(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "examples:" in text and f"m2fp-kd {command} " in text and "Exit code: 0" in text
    assert max(map(len, text.split("examples:")[1].splitlines())) <= 120
