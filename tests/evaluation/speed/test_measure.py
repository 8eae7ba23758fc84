import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.evaluation.speed.measure import (
    Loaded,
    artefact_megabytes,
    main,
    measure,
    measure_callable,
    measure_command,
    measure_here,
    measuring_options,
)
from m2fp_kd.evaluation.speed.process import ProcessError
from m2fp_kd.runtime.engines import Engine
from tests.evaluation.tiny import write_artefact


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    return write_artefact(tmp_path / "artefact")


def test_an_artefact_is_measured_in_its_own_process(artefact: Path, tmp_path: Path) -> None:
    for index in range(2):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{index}.png")
    measured = measure(artefact, [tmp_path], runs=4, threads=1, engine="onnxruntime")
    assert 0 < measured.p50_ms <= measured.p95_ms
    assert measured.photos == "2 photos (30x40)"
    assert (measured.runs, measured.threads, measured.engine, measured.precision) == (4, 1, "onnxruntime", "f32")
    assert measured.megabytes == (artefact / "model.onnx").stat().st_size / 1e6
    assert measured.load_ms is not None and measured.first_ms is not None
    assert 0 < measured.load_ms < measured.first_ms
    assert len(measured.times_ms) == 4 and measured.p50_ms == pytest.approx(np.median(measured.times_ms))
    assert (measured.batch, measured.network) == (1, [64, 64])
    if Path("/proc/self/status").exists():
        assert measured.empty_mb is not None and measured.peak_mb is not None
        # This process holds a test suite; the measured one starts empty.
        assert 5 < measured.empty_mb < measured.peak_mb < 1000


def test_the_default_photo_has_the_artefacts_size(artefact: Path) -> None:
    measured = measure(artefact / "model.onnx", runs=1, engine="onnxruntime")
    assert measured.photos == "1 photo (64x64)"


def test_a_batch_is_one_call_of_the_network(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    run = Engine.__call__

    def spy(engine: Engine, images: np.ndarray) -> dict[str, np.ndarray]:
        shapes.append(images.shape)
        return run(engine, images)

    monkeypatch.setattr(Engine, "__call__", spy)
    main([str(artefact), "--batch=3", "--runs=1", "--engine=onnxruntime"])
    assert set(shapes) == {(3, 64, 64, 3)}
    shapes.clear()
    main([str(artefact), "--runs=1", "--engine=onnxruntime"])
    assert set(shapes) == {(1, 64, 64, 3)}


def test_any_program_that_prints_a_measurement_can_be_measured(tmp_path: Path) -> None:
    program = tmp_path / "other.py"
    program.write_text(
        "import json\n"
        "from dataclasses import asdict\n"
        "from m2fp_kd.evaluation.speed.measure import Loaded, measure_here, measuring_options\n"
        "options = measuring_options('Other.').parse_args()\n"
        "load = lambda: Loaded(lambda photo: None, lambda photo: photo.shape[:2], 32, 'none', 'f16', 1.5)\n"
        "print(json.dumps(asdict(measure_here(load, options))))\n"
    )
    measured = measure_command([sys.executable, str(program)], "other", [], 7, 2, 4, 10)
    assert (measured.runs, measured.threads, measured.batch, measured.network) == (7, 2, 4, [32, 32])
    assert (measured.engine, measured.precision, measured.megabytes) == ("none", "f16", 1.5)
    program.write_text("print('{\"speed\": 3}')")
    with pytest.raises(ProcessError, match=r"measuring other failed \(its output is not a measurement\)"):
        measure_command([sys.executable, str(program)], "other", [], 7, 2, 4, 10)


def test_photos_count_as_memory_of_the_empty_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(3):
        Image.new("RGB", (1000, 500)).save(tmp_path / f"{index}.png")
    monkeypatch.setattr("m2fp_kd.evaluation.speed.measure.memory_mb", {"VmRSS": 40.0, "VmHWM": 50.0}.get)
    options = measuring_options("").parse_args(["--photos", str(tmp_path), "--runs=1"])
    measured = measure_here(lambda: Loaded(np.sum, lambda photo: photo.shape[:2], 1, "none", "f32", 1.0), options)
    assert measured.peak_mb == 50 and measured.empty_mb == pytest.approx(40 + 2 * 1.5)
    assert measured.first_ms is None and measured.network == [500, 1000]


def test_a_failing_process_gives_its_cause(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"nowhere: no such artefact"):
        measure(tmp_path / "nowhere")


def test_an_empty_folder_of_photos_is_an_error(artefact: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError, match="no photos"):
        measure(artefact, [tmp_path / "empty"])


def test_the_measuring_process_imports_no_torch() -> None:
    code = "import sys, m2fp_kd.evaluation.speed.measure; sys.exit('torch' in sys.modules)"
    source = Path(__file__).parents[3] / "src"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(source)}, check=False).returncode == 0


def test_a_callable_gets_median_and_95th_percentile() -> None:
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


def test_the_time_limit_keeps_slow_calls_few() -> None:
    calls = []

    def parse(photo: np.ndarray) -> None:
        calls.append(photo)
        time.sleep(0.02)

    measured = measure_callable(parse, [np.zeros((4, 6, 3), np.uint8)], runs=10, seconds=0.01)
    assert measured.runs == 1 and len(calls) == 2


def test_openvino_size_counts_the_weights_but_not_the_card(tmp_path: Path) -> None:
    for name, size in (("model.xml", 1000), ("model.bin", 500_000), ("card.json", 7000)):
        (tmp_path / name).write_bytes(b"x" * size)
    assert artefact_megabytes(tmp_path) == artefact_megabytes(tmp_path / "model.xml") == 0.501
