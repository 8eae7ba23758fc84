"""Photos that a Ray cluster parses have the results of a plain `parse`, also where a worker dies."""

import json
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd import cli
from m2fp_kd.cli import ray_pool
from m2fp_kd.cli.table import LINES, TABLE

COUNT = 24

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the ray extra")


@pytest.fixture
def folder(tmp_path):
    """Photos of several sizes, and a broken one."""
    (tmp_path / "photos" / "more").mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(COUNT):
        grain = Image.fromarray(random.integers(0, 256, (4, 5, 3), np.uint8))
        grain.resize((60 + index, 40)).save(tmp_path / "photos" / ("more" if index % 2 else ".") / f"{index:02}.jpg")
    (tmp_path / "photos" / "07.jpg").write_bytes(b"no photo")
    return tmp_path / "photos"


@pytest.fixture
def parse(artefact, folder, tmp_path, capsys):
    """Parse the folder; return the exit code, standard output and error."""
    made = artefact()

    def run(*options, out="out", source=folder):
        code = cli.main(["parse", "-a", str(made), str(source), "-o", str(tmp_path / out), *map(str, options)])
        return code, *capsys.readouterr()

    return run


def files(folder):
    ours = (TABLE, LINES)
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name not in ours]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def without_times(lines):
    results = [json.loads(line) for line in lines.splitlines()]
    return [{key: value for key, value in one.items() if key != "timings_ms"} for one in results]


def rows_of(folder):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(folder / TABLE).to_pylist()


def dying(marker: Path):
    """A worker class whose first worker is killed after its first task, whose rows are lost."""

    class Dying(ray_pool.ParsePhotos):
        def __call__(self, tasks):
            outcomes = super().__call__(tasks)
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return outcomes

    return Dying


@needs_ray
def test_a_cluster_gives_the_same_results_though_a_worker_is_killed(parse, folder, tmp_path, monkeypatch):
    code, lines, printed = parse("--json", out="plain")
    failed = [line for line in printed.splitlines() if line.startswith("failed")]
    marker = tmp_path / "killed"
    monkeypatch.setattr(ray_pool, "ParsePhotos", dying(marker))
    lost, again, printed = parse("--json", "--ray", "local", "--jobs", 2)
    assert (code, lost) == (1, 1) and marker.exists(), printed
    out = tmp_path / "out"
    assert files(out) == files(tmp_path / "plain")
    expected = [json.loads(json.dumps(line).replace("/plain/", "/out/")) for line in without_times(lines)]
    assert without_times(again) == expected
    assert [line for line in printed.splitlines() if line.startswith("failed")] == failed
    assert printed.splitlines()[-1].startswith(f"{COUNT} parsed, 1 failed in {out} in ")

    rows = rows_of(out)
    assert len(rows) == len((out / LINES).read_text().splitlines()) == COUNT + 1
    assert {row["photo"] for row in rows} == {str(path) for path in folder.rglob("*.jpg")}
    parsed = [row for row in rows if row["error"] is None]
    for row, line in zip(parsed, without_times(again), strict=True):
        assert row["photo"] == line["photo"] and dict(row["parts"]) == line["parts"]
        assert row["people_count"] == len(line["people"]) and row["people_kind"] == line["people_kind"]
        assert dict(row["results"]) == {"map": line["part_map"], "mosaic": line["mosaic"]}
        assert dict(row["timings_ms"])["network"] > 0
    (broken,) = (row for row in rows if row["error"] is not None)
    assert broken["photo"] == str(folder / "07.jpg") and "cannot be read" in broken["error"]

    # --resume parses what failed or has no row, and starts from a torn end of the rows.
    Image.new("RGB", (50, 40)).save(folder / "07.jpg")
    kept = (out / LINES).read_bytes()
    (out / LINES).write_bytes(kept[:-20])
    (out / "00.png").unlink()
    code, _, printed = parse("--ray", "local", "--jobs", 2, "--resume")
    torn = 1
    assert code == 0 and f"{2 + torn} parsed, {COUNT - 1 - torn} already there" in printed
    assert len(rows_of(out)) == COUNT + 1 and not any(row["error"] for row in rows_of(out))


def test_it_is_an_extra(parse, monkeypatch):
    for name in ("ray", "ray.data"):
        monkeypatch.setitem(sys.modules, name, None)
    code, _, printed = parse("--ray", "local")
    assert code == 2 and printed.startswith("m2fp-kd: ray") and "[serve,ray]" in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--shard", "1/2"), "--shard"), (("--format", "coco"), "--format")],
)
def test_options_that_do_not_go_with_a_cluster_are_refused(parse, tmp_path, options, words):
    code, _, printed = parse("--ray", "local", *options)
    assert code == 2 and printed.startswith(f"m2fp-kd: --ray does not go with {words}; it")
    assert not (tmp_path / "out").exists()
    code, _, printed = parse("--ray", "local", source="0")
    assert code == 2 and printed.startswith("m2fp-kd: --ray does not go with a camera or stream; it")


@needs_ray
def test_videos_are_refused(parse, folder, tmp_path):
    (folder / "walk.mp4").write_bytes(b"")
    code, _, printed = parse("--ray", "local")
    assert code == 2 and f"{folder / 'walk.mp4'} is a video" in printed and not (tmp_path / "out").exists()


@needs_ray
def test_a_table_of_another_program_is_kept(parse, tmp_path):
    import pyarrow.parquet

    (tmp_path / "out").mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "out" / TABLE)
    code, _, printed = parse("--ray", "local")
    assert code == 2 and "was not written by m2fp-kd" in printed
