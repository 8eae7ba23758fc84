"""Photos that a Ray cluster parses have the results of a plain `parse`, also where a worker dies."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from m2fp_kd.cli import ray_pool
from m2fp_kd.cli.jobs import Wanted
from m2fp_kd.cli.sources import plan
from m2fp_kd.cli.table import LINES, TABLE, Rows
from tests.cli.ray.needs import COUNT, needs_ray
from tests.hostile.disk import full


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


class Full(ray_pool.ParsePhotos):
    """A worker whose disk takes no more data."""

    def _parse(self, job, made_from):
        with full(most=100):
            return super()._parse(job, made_from)


@needs_ray
def test_a_full_disk_ends_the_work_and_leaves_nothing_half_written(parse, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_pool, "ParsePhotos", Full)
    code, _, printed = parse("--ray", "local", "--jobs", 1)
    line = printed.splitlines()[-1]
    assert code == 2 and line.startswith(f"m2fp-kd: {tmp_path / 'out'}/") and "ulimit -f" in line, printed
    assert [path.name for path in (tmp_path / "out").rglob("*")] == [LINES, "more"]


def test_a_full_disk_tears_no_row_and_no_table(folder, tmp_path):
    pytest.importorskip("pyarrow", reason="needs the ray extra")
    out = tmp_path / "out"
    out.mkdir()
    jobs = dict.fromkeys(plan([folder], out).jobs, "origin")
    first, *others = jobs
    rows = Rows(out, keep=False)
    rows.add(first, "origin", ValueError("unreadable"))
    whole = (out / LINES).read_bytes()
    with full(most=len(whole) + 5), pytest.raises(OSError, match=LINES):
        rows.add(others[0], "origin", ValueError("unreadable"))
    assert (out / LINES).read_bytes() == whole + b'{"pho'
    rows = Rows(out, keep=True)
    assert (out / LINES).read_bytes() == whole
    with full(most=100), pytest.raises(OSError, match=TABLE):
        rows.write_table(jobs, Wanted(), None)
    assert [path.name for path in out.iterdir()] == [LINES]
    assert rows.write_table(jobs, Wanted(), None) == 1


SLOW = """
import sys, time
from m2fp_kd import cli
from m2fp_kd.cli import ray_pool

class Slow(ray_pool.ParsePhotos):
    def _outcome(self, job, made_from):
        time.sleep(0.5)
        return super()._outcome(job, made_from)

ray_pool.ParsePhotos = Slow
sys.exit(cli.main(sys.argv[1:]))
"""


@needs_ray
def test_sigterm_ends_the_work_and_resume_continues(parse, artefact, folder, tmp_path):
    parse(out="plain")
    out = tmp_path / "out"
    words = ["parse", "-a", str(artefact()), str(folder), "-o", str(out), "--ray", "local", "--jobs", "1"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SLOW, *words]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as stopped:
        until = time.monotonic() + 300
        while not list(out.rglob("*.png")) and stopped.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        stopped.terminate()
        _, printed = stopped.communicate(timeout=100)
    assert stopped.returncode == 128 + signal.SIGTERM, printed
    assert printed.splitlines()[-1] == "stopped; --resume continues from here"
    assert not (out / TABLE).exists()
    written, right = (
        {name: data for name, data in files(one).items() if name.endswith(".png")} for one in (out, tmp_path / "plain")
    )
    assert 0 < len(written) < len(right) and written.items() <= right.items(), "whole or not there"
    code, _, printed = parse("--ray", "local", "--jobs", 1, "--resume")
    assert code == 1 and files(out) == files(tmp_path / "plain"), printed
    assert len(rows_of(out)) == COUNT + 1


@pytest.fixture
def running(tmp_path, monkeypatch):
    """Start a cluster that wants its token, and return its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (tmp_path / "token").write_text("5" * 64)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    options = ["--num-cpus=1", "--include-dashboard=false", "--disable-usage-stats"]
    environment = os.environ | {"RAY_AUTH_MODE": "token"}
    with subprocess.Popen([*start, *options], env=environment, stdout=subprocess.DEVNULL) as cluster:
        until = time.monotonic() + 100
        while time.monotonic() < until and cluster.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
        cluster.terminate()


@needs_ray
def test_it_joins_a_running_cluster_with_its_token(parse, artefact, folder, tmp_path, running):
    parse(out="plain")
    words = ["parse", "-a", str(artefact()), str(folder), "-o", str(tmp_path / "out"), "--ray", running]
    done = subprocess.run([sys.executable, "-m", "m2fp_kd", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr  # of the broken photo
    assert files(tmp_path / "out") == files(tmp_path / "plain") and len(rows_of(tmp_path / "out")) == COUNT + 1
