"""Nothing phones home: no import, command or service resolves a name or connects to another machine unasked."""

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import m2fp_kd

RECORDER = """
import os, sys
def record(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        with open(os.environ["RECORD"], "a") as log:
            print(event, *map(str, arguments[:4]), file=log)
sys.addaudithook(record)
"""
"""A `sitecustomize` module: Python imports it at the start of every process, child processes included."""

CACHES = ((".cache", "m2fp-kd"), (".cache", "m2fp_kd"), (".cache", "matplotlib"), (".cache", "wandb"))
"""Folders of the home that may be written. ONNX Runtime's telemetry has a database in another."""

Recorded = tuple[subprocess.CompletedProcess[str], list[str], list[str]]


@pytest.fixture
def recorded(tmp_path: Path):
    """Run Python with a recorder and an empty home.

    Returns:
        The finished process, the names that it resolved and the sockets that it connected, and what it wrote to the
        home outside of `CACHES`; a library's compiled code connects unrecorded, but keeps what it sends in a file.
    """

    def run(*arguments: object) -> Recorded:
        site, home, log = tmp_path / "site", tmp_path / "home", tmp_path / "record"
        for folder in (site, home):
            folder.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(RECORDER)
        log.write_text("")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join([str(site), *sys.path]),
            "RECORD": str(log),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        written = [path.relative_to(home).parts for path in home.rglob("*") if path.is_file()]
        return done, log.read_text().splitlines(), ["/".join(parts) for parts in written if parts[:2] not in CACHES]

    return run


def test_the_recorder_records(recorded) -> None:
    program = "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError: pass"
    _, calls, _ = recorded("-c", program)
    assert [call.split()[0] for call in calls] == ["socket.getaddrinfo", "socket.connect"]


def test_no_import_connects(recorded) -> None:
    """Every module of the package, with the libraries that they import when they run."""
    names = [info.name for info in pkgutil.walk_packages(m2fp_kd.__path__, "m2fp_kd.")]
    names = [name for name in names if not name.endswith("__main__")]
    names += ["openvino.tools.ovc", "nncf", "wandb", "onnxruntime", "transformers"]
    program = f"import importlib\nfor name in {names}: importlib.import_module(name)\n"
    program += "from nncf.telemetry.wrapper import NNCFTelemetryStub, telemetry\n"
    program += "assert isinstance(telemetry, NNCFTelemetryStub), telemetry"
    done, calls, written = recorded("-c", program)
    assert done.returncode == 0, done.stderr
    assert calls == [] and written == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["parse", "photo.png", "--engine", "openvino"],
        ["parse", "photo.png", "--engine", "onnxruntime"],
        ["autolabel", "photos", "-o", "labelled"],
        ["bench", "--threads", "1", "--json"],
        ["card"],
        ["train", "--cfg", "job", "--resolve"],
    ],
    ids=" ".join,
)
def test_no_command_connects(recorded, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "photos").mkdir()
    for path in ("photo.png", "photos/photo.png"):
        Image.fromarray(np.zeros((60, 40, 3), np.uint8)).save(tmp_path / path)
    done, calls, written = recorded("-m", "m2fp_kd", *arguments)
    assert done.returncode == 0, done.stderr
    assert calls == [] and written == []


def test_no_service_connects(recorded, tmp_path: Path) -> None:
    """A photo is parsed over HTTP; the service itself resolves and connects nothing."""
    Image.fromarray(np.zeros((60, 40, 3), np.uint8)).save(tmp_path / "photo.png")
    program = """
from m2fp_kd import DEMO
from m2fp_kd.serve.app import create_app
from m2fp_kd.serve.models import load_model
from m2fp_kd.serve.settings import Settings
settings = Settings()
model = load_model("lite", DEMO, 1, 1, None, settings)
client = create_app({"lite": model}, settings).test_client()
answer = client.post("/api/parse", data=open("photo.png", "rb").read(), content_type="image/png")
assert answer.status_code == 200, answer.data
model.worker.close()
"""
    done, calls, written = recorded("-c", program)
    assert done.returncode == 0, done.stderr
    assert calls == [] and written == []
