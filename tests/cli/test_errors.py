"""Every error is one line on stderr with an exit code, without a traceback."""

import errno
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd import cli
from m2fp_kd.runtime.engines import ENGINES

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
    assert re.search(r"0 parsed, 1 failed in \S+/out in \d+\.\d s\n$", text)
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
    line = "m2fp-kd: standard output: No space left on device; free some space and repeat the command\n"
    assert (done.returncode, done.stderr) == (2, line)


def test_a_disk_that_fills_up_names_the_file(artefact, photo, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    line = one_line(capsys, "parse", "-a", artefact(), photo, "-o", tmp_path / "out")
    named = (
        f"m2fp-kd: {tmp_path / 'out' / 'photo.png'}: No space left on device; free some space and repeat the command"
    )
    assert line == named and not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("parse x.jpg --threads 0", "--threads: must be a whole number from 1 to 1024, not '0'"),
        ("parse x.jpg --threads 2.5", "--threads: must be a whole number from 1 to 1024, not '2.5'"),
        ("parse x.jpg --jobs 0", "--jobs: must be a whole number from 1 to 1024, not '0'"),
        ("parse x.jpg --megapixels nan", "--megapixels: must be a number above 0, to 4000, not 'nan'"),
        ("parse x.jpg --precision bf16", "--precision: invalid choice: 'bf16' (choose from"),
        ("parse", "the following arguments are required: PHOTO|VIDEO|FOLDER|PATTERN"),
        ("parse x.jpg --colour", "unrecognized arguments: --colour"),
        ("autolabel x -o y --ignore-below 2", "--ignore-below: must be a number from 0 to 1, not '2'"),
        ("bench --threads -1", "--threads: must be a whole number from 1 to 1024, not '-1'"),
        ("serve --threads 0", "--threads: must be a whole number from 1 to 1024, not '0'"),
        ("serve --streams 0", "--streams: must be a whole number from 1 to 1024, not '0'"),
        ("serve --port 70000", "--port: must be a whole number from 0 to 65535, not '70000'"),
        ("serve --port http", "--port: must be a whole number from 0 to 65535, not 'http'"),
        ("serve --megabytes inf", "--megabytes: must be a number above 0, to 2000, not 'inf'"),
        ("serve --waiting 100000", "--waiting: must be a whole number from 1 to 1000, not '100000'"),
        ("serve --waiting-megabytes nan", "--waiting-megabytes: must be a number above 0, to 1e+06, not 'nan'"),
        ("serve --requests-per-minute -1", "--requests-per-minute: must be a whole number of at least 0, not '-1'"),
        ("serve --host 256.0.0.1 --port 0", "--host 256.0.0.1: "),
        ("parse ''", "an argument is empty; is a variable of the shell not set?"),
        ("parse x.jpg --out=", "an argument is empty"),
        ("fly", "COMMAND: invalid choice: 'fly' (choose from"),
        ("", "the following arguments are required: COMMAND"),
    ],
)
def test_an_option_that_cannot_be_is_one_line_before_any_work(capsys, monkeypatch, words, message):
    monkeypatch.setattr("m2fp_kd.runtime.artefact.find_model", lambda _: pytest.fail("work has begun"))
    try:
        code = cli.main(shlex.split(words))
    except SystemExit as end:
        code = end.code
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 2 and line.startswith(f"m2fp-kd: {message}")


def test_an_unknown_engine(artefact, photo, tmp_path, capsys):
    line = one_line(capsys, "parse", "-a", artefact(), photo, "-o", tmp_path / "out", "--engine", "tensorrt")
    assert line == f"m2fp-kd: unknown engine 'tensorrt'; choose from {', '.join(ENGINES)}"


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
    message = f"m2fp-kd: --port {port}: Address already in use; choose another port, or stop the program that uses it\n"
    assert done.stderr == message


@pytest.mark.parametrize("command", [*COMMANDS, "benchmark", "runs", "diff"])
def test_every_help_shows_examples_and_exit_codes(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "examples:" in text and f"m2fp-kd {command} " in text and "Exit code: 0" in text
    assert max(map(len, text.split("examples:")[1].splitlines())) <= 120
