"""A folder that is parsed by several jobs has the results, messages and exit codes of one that is parsed by one."""

import errno
import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd import cli
from m2fp_kd.cli import outcomes
from m2fp_kd.cli.jobs import Job
from m2fp_kd.cli.parse import _shares
from m2fp_kd.runtime import cores, placed
from m2fp_kd.runtime.geometry import read_image

COUNT = 12


@pytest.fixture
def folder(tmp_path):
    """Photos whose first takes longest."""
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for index in range(COUNT):
        grain = Image.fromarray(random.integers(0, 256, (4, 5, 3), np.uint8))
        grain.resize((1200, 900) if index == 0 else (60 + index, 40)).save(tmp_path / "photos" / f"{index:02}.jpg")
    return tmp_path / "photos"


@pytest.fixture
def parse(artefact, folder, tmp_path, capsys):
    """Parse the folder; return the exit code, standard output and error."""

    def run(*options, out="out"):
        code = cli.main(["parse", "-a", str(artefact()), str(folder), "-o", str(tmp_path / out), *map(str, options)])
        return code, *capsys.readouterr()

    return run


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_times(lines):
    results = [json.loads(line) for line in lines.splitlines()]
    return [{key: value for key, value in one.items() if key != "timings_ms"} for one in results]


def test_several_jobs_write_and_print_what_one_does(parse, tmp_path):
    code, lines, printed = parse("--json", "--jobs", 1)
    before = files(tmp_path / "out")
    assert code == 0 and len(before) == 2 * COUNT and " ms in one of" not in printed
    code, again, printed = parse("--json", "--jobs", 4)
    assert code == 0 and f"{COUNT} parsed" in printed and " ms in one of 4 jobs (" in printed
    assert files(tmp_path / "out") == before
    assert without_times(again) == without_times(lines)
    assert [Path(line["photo"]).stem for line in without_times(again)] == [f"{index:02}" for index in range(COUNT)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_photos_that_fail_are_named_in_order_and_the_others_parsed(parse, folder, tmp_path, jobs):
    for index in (0, 5, 6):
        (folder / f"{index:02}.jpg").write_bytes(b"no photo")
    code, _, printed = parse("--jobs", jobs)
    assert code == 1 and f"{COUNT - 3} parsed, 3 failed" in printed
    assert re.findall(r"failed: \S+/(\d+)\.jpg: cannot be read", printed) == ["00", "05", "06"]
    assert len(files(tmp_path / "out")) == 2 * (COUNT - 3)


def test_photos_that_are_parsed_together_are_no_larger_than_the_largest_may_be(parse, monkeypatch):
    now, most, lock = [], [], threading.Lock()

    def read(path, *arguments):
        with Image.open(path) as image:
            pixels = image.width * image.height / 1e6
        with lock:
            now.append(pixels)
            most.append((len(now), sum(now)))
        time.sleep(0.005)
        try:
            return read_image(path, *arguments)
        finally:
            with lock:
                now.remove(pixels)

    monkeypatch.setattr(placed, "read_image", read)
    assert parse("--jobs", 4, "--megapixels", 1.08)[0] == 0, "the large photo is as large as allowed"
    assert max(total for _, total in most) <= 1.08 and max(count for count, _ in most) > 1
    most.clear()
    assert parse("--jobs", 4, "--megapixels", 0.0071)[0] == 1
    assert max(total for _, total in most) <= 1.08 and max(count for count, _ in most) <= 2, "one, or a refused one"


def test_a_slow_reader_holds_the_work_back(parse, monkeypatch):
    begun, ahead, jobs = [], 3, 2
    parse_photo = outcomes.parse_photo

    def counted(*arguments):
        begun.append(arguments)
        return parse_photo(*arguments)

    def slow(_):
        time.sleep(0.02)
        printed.append(len(begun))

    printed: list[int] = []
    monkeypatch.setattr(outcomes, "AHEAD", ahead)
    monkeypatch.setattr(outcomes, "parse_photo", counted)
    monkeypatch.setattr("m2fp_kd.cli.parse.print_result", slow)
    assert parse("--json", "--jobs", jobs)[0] == 0
    assert len(printed) == COUNT and all(count <= index + 1 + ahead * jobs for index, count in enumerate(printed))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_whole_files_and_resume_continues(parse, tmp_path, monkeypatch, number, code):
    signals = iter([number])

    def read(path, *arguments):
        if path.stem == "05":
            for one in signals:
                os.kill(os.getpid(), one)
        return read_image(path, *arguments)

    monkeypatch.setattr(placed, "read_image", read)
    stopped, _, printed = parse("--jobs", 2)
    assert (stopped, printed.splitlines()[-1]) == (code, "stopped; --resume continues from here")
    written = files(tmp_path / "out")
    assert len(written) < 2 * COUNT and not any(".writing" in name for name in written)
    resumed, _, printed = parse("--jobs", 2, "--resume")
    done = len([name for name in written if name.endswith(".png")])
    assert resumed == 0 and f"{COUNT - done} parsed, {done} already there" in printed
    parse(out="whole")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_full_disk_ends_it_with_one_line(parse, tmp_path, monkeypatch):
    save = Image.Image.save

    def full(image, path, *arguments, **options):
        if str(path).endswith("05_mosaic.jpg"):
            raise OSError(errno.ENOSPC, "No space left on device")
        save(image, path, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    code, _, printed = parse("--jobs", 3)
    place = tmp_path / "out" / "05_mosaic.jpg"
    line = f"m2fp-kd: {place}: No space left on device; free some space and repeat the command"
    assert (code, printed.splitlines()) == (2, [line])
    assert not list((tmp_path / "out").glob(".*"))


def test_without_mosaics(parse, tmp_path):
    code, lines, _ = parse("--write", "map", "--json")
    assert code == 0 and set(files(tmp_path / "out")) == {f"{index:02}.png" for index in range(COUNT)}
    assert {line["mosaic"] for line in without_times(lines)} == {None}
    maps = files(tmp_path / "out")
    assert f"0 parsed, {COUNT} already there" in parse("--write", "map", "--resume")[2]
    assert f"{COUNT} parsed in" in parse("--resume")[2], "their mosaics were missing"
    assert maps.items() <= files(tmp_path / "out").items()


def test_a_draft_is_another_result_of_the_same_size(parse, folder, tmp_path):
    Image.open(folder / "00.jpg").resize((2400, 1800)).save(folder / "00.jpg")
    assert parse("--draft")[0] == 0
    with Image.open(tmp_path / "out" / "00.png") as part_map:
        assert part_map.size == (2400, 1800)
    assert f"{COUNT} already there" in parse("--draft", "--resume")[2]
    assert f"{COUNT} made with another artefact or other options" in parse("--resume")[2]


@pytest.mark.parametrize(
    ("jobs", "threads", "photos", "expected"),
    [
        (None, None, 100, (8, 1)),
        (None, None, 3, (3, 2)),
        (None, None, 1, (1, None)),
        (None, None, 0, (1, None)),
        (None, 2, 100, (4, 2)),
        (None, 16, 100, (1, 16)),
        (2, None, 100, (2, 4)),
        (20, None, 100, (20, 1)),
        (1, None, 100, (1, None)),
        (3, 5, 2, (2, 5)),
    ],
)
def test_jobs_and_threads_share_the_cores(monkeypatch, jobs, threads, photos, expected):
    monkeypatch.setattr(cores, "usable_cores", lambda: 8)
    waiting = [Job(Path(f"{index}.jpg"), Path(str(index)), is_video=False) for index in range(photos)]
    assert _shares(jobs, threads, waiting) == expected


def test_the_frames_of_one_video_use_all_jobs(monkeypatch):
    monkeypatch.setattr(cores, "usable_cores", lambda: 8)
    assert _shares(None, None, [Job(Path("a.mp4"), Path("a"), is_video=True)]) == (8, 1)
