"""Videos on the command line: mosaic, JSON lines, part maps and errors."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="needs the video extra")

from m2fp_kd import cli
from m2fp_kd.runtime.geometry import read_photo
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.video import Frame, Video, read_frames, read_video, write_video

PHOTOS = sorted((Path(__file__).parents[2] / "data" / "sample" / "Validation" / "Images").iterdir())[:7]
RATE = Fraction(24000, 1001)


@pytest.fixture
def walk(tmp_path):
    """A video of seven of the sample's photos."""
    path = tmp_path / "videos" / "walk.mp4"
    path.parent.mkdir()
    frames = (Frame(index, 1001 * index, read_photo(photo)) for index, photo in enumerate(PHOTOS))
    write_video(path, frames, Video(RATE, Fraction(1, 24000), None))
    return path


def test_a_video_gives_a_mosaic_and_a_line_for_each_frame(artefact, walk, tmp_path, capsys):
    folder, out = artefact(), tmp_path / "out"
    assert cli.main(["parse", "-a", str(folder), str(walk), "-o", str(out), "--json"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["walk.jsonl", "walk_mosaic.mp4"]
    assert read_video(out / "walk_mosaic.mp4").rate == RATE
    mosaics, parser = list(read_frames(out / "walk_mosaic.mp4")), Parser.load(folder)
    lines = [json.loads(line) for line in (out / "walk.jsonl").read_text().splitlines()]
    assert len(mosaics) == len(lines) == len(PHOTOS)
    for frame, line in zip(read_frames(walk), lines, strict=True):
        expected = parser(frame.image)
        assert (line["frame"], line["time_s"]) == (frame.index, pytest.approx(frame.index * 1001 / 24000, abs=1e-6))
        assert line["parts"] == pytest.approx(expected.shares, abs=1e-6)
        assert [person["box"] for person in line["people"]] == [list(person.box) for person in expected.people]
        assert line["timings_ms"]["network"] > 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["parsed"] == len(PHOTOS) and printed["frame_rate"] == 23.976 and printed["part_maps"] is None


def test_some_frames_with_their_part_maps(artefact, walk, tmp_path):
    folder, out = artefact(), tmp_path / "out"
    command = ["parse", "-a", str(folder), str(walk), "-o", str(out), "--part-maps"]
    assert cli.main(command) == 0
    assert len(list((out / "walk_maps").iterdir())) == len(PHOTOS)
    assert cli.main([*command, "--every", "3"]) == 0
    names = [f"{index:06}.png" for index in (0, 3, 6)]
    assert sorted(path.name for path in (out / "walk_maps").iterdir()) == names, "the earlier part maps are gone"
    parser = Parser.load(folder)
    for name, frame in zip(names, read_frames(walk, every=3), strict=True):
        with Image.open(out / "walk_maps" / name) as image:
            np.testing.assert_array_equal(np.asarray(image), parser(frame.image).part_map)
    assert read_video(out / "walk_mosaic.mp4").rate == RATE / 3


def test_resume_skips_finished_videos(artefact, walk, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["parse", "-a", str(artefact()), str(walk.parent), "-o", str(out), "--resume"]
    assert cli.main(command) == cli.main(command) == 0
    assert "0 parsed, 1 already there" in capsys.readouterr().err
    assert cli.main([*command, "--part-maps"]) == 0
    assert "1 parsed in" in capsys.readouterr().err, "its part maps were missing"


def test_a_broken_video_leaves_no_files_and_the_photos_are_parsed(artefact, walk, tmp_path, capsys):
    data = walk.read_bytes()
    start = data.find(b"mdat") + 4
    (walk.parent / "damaged.mp4").write_bytes(data[:start] + b"\xa5" * 4000 + data[start + 4000 :])
    Image.open(PHOTOS[0]).save(walk.parent / "photo.png")
    out = tmp_path / "out"
    assert cli.main(["parse", "-a", str(artefact()), str(walk.parent), "-o", str(out), "--part-maps"]) == 1
    printed = capsys.readouterr().err
    assert "damaged.mp4: cannot be read as a video (Invalid data" in printed and "2 parsed, 1 failed" in printed
    written = ["photo.png", "photo_mosaic.jpg", "walk.jsonl", "walk_maps", "walk_mosaic.mp4"]
    assert sorted(path.name for path in out.iterdir()) == written


def test_a_missing_extra_is_named(artefact, walk, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert cli.main(["parse", "-a", str(artefact()), str(walk), "-o", str(tmp_path / "out")]) == 1
    assert "walk.mp4: videos are read by PyAV: pip install " in capsys.readouterr().err


def test_photos_need_no_video_library(artefact, tmp_path):
    program = f"""
import sys
from m2fp_kd import cli
code = cli.main(["parse", "-a", {str(artefact())!r}, {str(PHOTOS[0])!r}, "-o", {str(tmp_path / "out")!r}])
sys.exit(code or ("av was imported" if {{"av", "torch"}} & set(sys.modules) else 0))
"""
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True)
    assert done.returncode == 0, done.stderr
