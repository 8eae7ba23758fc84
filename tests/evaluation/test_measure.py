import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.evaluation.measure import artefact_megabytes, measure, measure_callable
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.geometry import Geometry
from tests.runtime.conftest import COLOURS, write_model


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    model = tmp_path / "artefact" / "model.onnx"
    write_model(model)
    save_card(model, Card(COLOURS.to_dict(), asdict(Geometry(64)), "fp32", "fpn"))
    return model.parent


def test_measures_in_a_process_of_its_own(artefact: Path, tmp_path: Path) -> None:
    for index in range(2):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{index}.png")
    measured = measure(artefact, [tmp_path], runs=4, threads=1, engine="onnxruntime")
    assert 0 < measured.p50_ms <= measured.p95_ms
    assert measured.photos == "2 photos (30x40)"
    assert (measured.runs, measured.threads, measured.engine, measured.arithmetic) == (4, 1, "onnxruntime", "f32")
    assert measured.megabytes == (artefact / "model.onnx").stat().st_size / 1e6
    assert measured.load_ms is not None and measured.load_ms > 0
    if Path("/proc/self/status").exists():
        assert measured.empty_mb is not None and measured.peak_mb is not None
        # This process holds a test suite; the measured one starts from nothing.
        assert 5 < measured.empty_mb < measured.peak_mb < 1000


def test_without_photos_one_of_the_artefacts_size_is_made(artefact: Path) -> None:
    measured = measure(artefact / "model.onnx", runs=1, engine="onnxruntime")
    assert measured.photos == "1 photo (64x64)"


def test_a_failing_process_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"nowhere: no such artefact"):
        measure(tmp_path / "nowhere")


def test_an_empty_folder_of_photos_is_an_error(artefact: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError, match="no photos"):
        measure(artefact, [tmp_path / "empty"])


def test_the_measuring_process_imports_no_torch() -> None:
    code = "import sys, m2fp_kd.evaluation.measure; sys.exit('torch' in sys.modules)"
    source = Path(__file__).parents[2] / "src"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(source)}, check=False).returncode == 0


def test_callable_gives_median_and_tail() -> None:
    calls = []

    def parse(photo: np.ndarray) -> None:
        calls.append(photo.shape)
        time.sleep(0.02 if len(calls) == 10 else 0.001)

    photos = [np.zeros((4, 6, 3), np.uint8), np.zeros((8, 6, 3), np.uint8)]
    measured = measure_callable(parse, photos, runs=10, engine="pytorch")
    assert 1 <= measured.p50_ms < measured.p95_ms
    assert len(calls) == 15  # five of them untimed
    assert measured.photos == "2 photos (4x6, 8x6)"
    assert measured.peak_mb is None and measured.engine == "pytorch"
    with pytest.raises(ValueError, match="at least one photo and one run"):
        measure_callable(parse, [])


def test_openvino_size_counts_the_weights_but_not_the_card(tmp_path: Path) -> None:
    for name, size in (("model.xml", 1000), ("model.bin", 500_000), ("card.json", 7000)):
        (tmp_path / name).write_bytes(b"x" * size)
    assert artefact_megabytes(tmp_path) == artefact_megabytes(tmp_path / "model.xml") == 0.501
