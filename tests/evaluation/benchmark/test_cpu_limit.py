from pathlib import Path

import pytest

from m2fp_kd.evaluation.benchmark import cpu_limit
from m2fp_kd.evaluation.benchmark.candidates import list_candidates
from m2fp_kd.evaluation.benchmark.comparison import Row
from m2fp_kd.evaluation.speed.macs import Macs, Peak
from m2fp_kd.evaluation.speed.process import ProcessError

SLOW, FAST = Peak(floating=2e9, int8=4e9), Peak(floating=1e9, int8=8e9)


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_limit, "_count_macs", lambda one, row: Macs(floating=1_000_000, int8=8_000_000))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").touch()
    return tmp_path / "model.onnx"


def row(batch: int = 1) -> Row:
    return Row("model", False, "e", "f32", 1, batch, network=[64, 64], p50_ms=6.0 * batch)


def test_the_limit_uses_the_best_peak_of_all_engines(model: Path) -> None:
    candidates = list_candidates([model], [], ["openvino", "onnxruntime"], ["f32"], [1], [1, 8])
    names = list(cpu_limit.peak_tasks(candidates))
    assert len(names) == 2  # the batch does not matter
    rows = cpu_limit.with_limits(
        candidates, [row(), row(8), row(), row(8)], dict(zip(names, [[SLOW], [FAST, SLOW]], strict=True))
    )
    for found in rows:
        assert found.peak == Peak(floating=2e9, int8=8e9)
        assert found.limit_share == pytest.approx((0.5 + 1.0) / 6)
        assert found.gmacs == 0.009 and found.int8_share == pytest.approx(8 / 9)


def test_peaks_of_other_threads_do_not_count(model: Path) -> None:
    candidates = list_candidates([model], [], ["openvino"], ["f32"], [1, 2], [1])
    names = list(cpu_limit.peak_tasks(candidates))
    first, second = cpu_limit.with_limits(candidates, [row(), row()], dict(zip(names, [[SLOW], [FAST]], strict=True)))
    assert first.peak == SLOW and second.peak == FAST


def test_failed_measurements_become_problems(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = list_candidates([model], [], [None], ["f32"], [1], [1])
    (name,) = cpu_limit.peak_tasks(candidates)
    (found,) = cpu_limit.with_limits(candidates, [row()], {name: ProcessError("peak", "exit code 1", "no onnx")})
    assert found.problem == "the CPU's peak could not be measured: no onnx" and found.gmacs == 0.009

    def fail(one: object, row: object) -> Macs:
        raise ProcessError("count", "exit code 1", "odd graph")

    monkeypatch.setattr(cpu_limit, "_count_macs", fail)
    (found,) = cpu_limit.with_limits(candidates, [row()], {name: [SLOW]})
    assert found.problem == "the operations could not be counted: odd graph" and found.limit_share is None


def test_only_onnx_files_that_were_measured_have_a_limit(model: Path, tmp_path: Path) -> None:
    candidates = list_candidates([model, tmp_path / "model.pt"], [], [None], ["f32"], [1], [1])
    assert len(cpu_limit.peak_tasks(candidates)) == 1
    rows = [Row("model", False, None, "f32", 1, 1, problem="broken"), row()]
    assert cpu_limit.with_limits(candidates, rows, {}) == rows
