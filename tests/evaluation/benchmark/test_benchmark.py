import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.cli import main
from m2fp_kd.evaluation.benchmark.candidates import list_candidates
from m2fp_kd.evaluation.benchmark.comparison import Row
from m2fp_kd.evaluation.benchmark.suite import (
    Benchmark,
    distinct_rows,
    picture_points,
    remarks,
    write,
    write_photos,
)
from m2fp_kd.evaluation.speed.macs import Peak
from m2fp_kd.evaluation.speed.measure import Measurement
from m2fp_kd.evaluation.speed.process import ProcessError
from tests.evaluation.tiny import write_artefact, write_stripes

CPU = {"model": "a CPU", "architecture": "x86_64", "cores": 2, "features": None}

BASELINE = """
import json
from dataclasses import asdict
from m2fp_kd.evaluation.speed.measure import Loaded, measure_here, measuring_options
options = measuring_options('Other.').parse_args()
load = lambda: Loaded(lambda photo: sum(range(10**6)), lambda photo: photo.shape[:2], 32, 'python', 'f64', 1000)
print(json.dumps(asdict(measure_here(load, options))))
"""


def test_a_benchmark_writes_tables_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime", reason="needs the serve extra")
    good, data, out, baseline = (tmp_path / name for name in ("good", "data", "out", "slow.py"))
    write_artefact(good)
    write_stripes(data, "Testing", 3)
    baseline.write_text(BASELINE)
    options = (
        f"--engines onnxruntime --threads 1 --batch 1 2 --size 96 --rounds 1 --seconds 0.01 --limit 2 --data {data}"
    )
    arguments = [*options.split(), "--baseline", str(baseline), "--out", str(out)]
    assert main(["benchmark", str(good), str(tmp_path / "missing"), *arguments]) == 1, "one of them is missing"

    report = json.loads((out / "benchmark.json").read_text(encoding="utf-8"))
    slow, one, two, *missing = report["rows"]
    assert report["photos"] == "3 photos of 96 pixels (longest side)" and report["rounds"] == 1
    assert report["scored_on"] == "2 photos of data/Testing"
    assert (slow["name"], slow["engine"], slow["baseline"], slow["network"]) == ("slow", "python", True, [64, 96])
    assert [row["batch"] for row in (one, two)] == [1, 2]
    for row in (one, two):
        assert row["problem"] is None and row["name"] == "good" and row["network"] == [64, 64]
        assert row["miou"] == 1  # the tiny artefact parses stripes perfectly
        assert 0 < row["p50_ms"] <= row["p95_ms"] and row["round_p50_ms"] == [row["p50_ms"]]
        assert 0 < row["load_ms"] < row["first_ms"]
        assert row["gmacs"] == 0 and row["limit_share"] == 0  # it has no products
        assert row["peak"]["floating"] > 1e6 and row["peak"]["int8"] > 1e6
        assert row["compared"]["slow"]["faster"] == pytest.approx(slow["p50_ms"] / (row["p50_ms"] / row["batch"]))
        assert row["compared"]["slow"]["disk_share"] == pytest.approx(row["megabytes"] / 1000)
    assert all(row["p50_ms"] is None and "missing: no such artefact" in row["problem"] for row in missing)

    with (out / "benchmark.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["slow", "good", "good", "missing", "missing"]
    text = capsys.readouterr().out
    assert (
        "Against slow" in text and "missing: no such artefact" in text and "mIoU on 2 photos of data/Testing." in text
    )
    assert (out / "benchmark.md").read_text(encoding="utf-8").startswith("| Model | Engine |")
    for name in ("pareto.svg", "benchmark.html"):
        text = (out / name).read_text(encoding="utf-8")
        assert "good" in text and "<svg" in text


def test_the_benchmark_imports_no_torch() -> None:
    code = "import sys, m2fp_kd.evaluation.benchmark.suite; sys.exit('torch' in sys.modules)"
    source = Path(__file__).parents[3] / "src"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(source)}, check=False).returncode == 0


def test_photos_are_resized_and_evenly_spaced_in_the_folder(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir(), target.mkdir()
    for index in range(20):
        Image.fromarray(np.full((30, 60, 3), 10 * index, np.uint8)).save(source / f"{index:02d}.png")
    assert write_photos(target, 100, source) == "8 photos of 100 pixels (longest side)"
    photos = [Image.open(path) for path in sorted(target.iterdir())]
    assert {photo.size for photo in photos} == {(100, 50)}
    assert [photo.getpixel((5, 5))[0] for photo in photos] == [0, 30, 50, 80, 110, 140, 160, 190]


def test_without_photos_synthetic_scenes_are_used(tmp_path: Path) -> None:
    assert write_photos(tmp_path, 64) == "8 synthetic scenes of 64 pixels (longest side)"
    scenes = [np.asarray(Image.open(path)) for path in sorted(tmp_path.iterdir())]
    assert {scene.shape for scene in scenes} == {(64, 64, 3)} and len({scene.tobytes() for scene in scenes}) == 8


def row(**more: object) -> Row:
    return Row(**{"name": "a", "baseline": False, "engine": "e", "precision": "f32", "threads": 2, "batch": 1} | more)


def test_remarks_name_the_limit_the_drift_and_the_failures() -> None:
    best = row(p50_ms=5.0, round_p50_ms=[4.0, 6.0], gmacs=0.5, int8_share=0.9, limit_share=0.25, peak=Peak(5e10, 1e11))
    fastest, unsteady, failed = remarks([row(p50_ms=9.0), best, row(name="b", engine=None, problem="gone")])
    assert fastest == (
        "Fastest: a (e · f32 · 2 threads), 5.00 ms per photo; its 0.50 GMAC (90 % INT8) would take 25 % of that time "
        "at this CPU's peak, measured on large convolutions: 50 GMAC/s in f32, 100 in INT8."
    )
    assert "a factor of 1.50 between rounds" in unsteady and failed == "b in default engine (1 row): gone"
    assert remarks([row(problem="gone"), row(problem="gone", batch=8)]) == ["a in e (2 rows): gone"]


def test_candidates_that_ran_identically_share_a_row(tmp_path: Path) -> None:
    candidates = list_candidates([tmp_path / "a"], [], ["openvino"], ["f32", "auto"], [1, 2], [1])
    one, two, same, broken = map(str, candidates)

    def measurement(ms: float) -> Measurement:
        return Measurement(ms, ms, 1, "", 1, "openvino", "f32", {}, times_ms=[ms])

    results = {
        one: [measurement(1)],
        two: [measurement(5)],
        same: [measurement(3)],
        broken: ProcessError("a", "b", "c"),
    }
    kept, rows = distinct_rows(candidates, results)
    assert list(map(str, kept)) == [one, two, broken]
    assert [(row.threads, row.p50_ms, row.problem) for row in rows] == [(1, 2, None), (2, 5, None), (2, None, "c")]


def test_the_picture_shows_the_smallest_batch_and_the_most_threads(tmp_path: Path) -> None:
    rows = [row(p50_ms=5.0, megabytes=3.0), row(p50_ms=9.0, threads=1), row(p50_ms=30.0, batch=8), row(problem="gone")]
    (point,) = picture_points(rows)
    assert (point.label, point.group, point.ms, point.value) == ("a", "e, f32", 5, 3)
    (point,) = picture_points([row(p50_ms=5.0, megabytes=3.0, miou=0.5)])
    assert point.value == 50
    rows = [row(p50_ms=5.0, precision="bf16"), row(p50_ms=9.0), row(p50_ms=7.0, name="b")]
    assert [point.ms for point in picture_points(rows)] == [5, 7]  # the faster precision of "a"
    rows[1] = row(p50_ms=9.0, on_front=True)
    assert [point.ms for point in picture_points(rows)] == [5, 9, 7]
    write(Benchmark("now", CPU, "no photos", 1, None, [row(problem="gone")], []), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"benchmark.{ending}" for ending in ("csv", "html", "json", "md")
    ]
