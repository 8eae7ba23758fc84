"""Videos on the command line: mosaic, JSON lines, part maps and errors."""

import errno
import json
import subprocess
import sys
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="needs the video extra")

import av

from m2fp_kd import cli
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.geometry import Geometry, read_photo
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.video.reading import Frame, Video, read_frames, read_video
from m2fp_kd.runtime.video.writing import write_video
from tests.runtime.conftest import COLOURS
from tests.runtime.video.files import with_sound

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
        assert (line["labels"], line["licence"]) == (parser.labels.name, parser.card.teacher.licence)
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


@pytest.fixture
def logits_artefact(tmp_path):
    """An artefact whose logits are the colour channels, averaged over 4 x 4 pixels."""
    onnx = pytest.importorskip("onnx", reason="making ONNX files needs the compress extra")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=types.FLOAT),
        helper.make_node("Transpose", ["values"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["mean"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Div", ["mean", "scale"], ["part_logits"]),
    ]
    images = helper.make_tensor_value_info("images", types.UINT8, ["N", "H", "W", 3])
    logits = helper.make_tensor_value_info("part_logits", types.FLOAT, ["N", 3, "h", "w"])
    scale = onnx.numpy_helper.from_array(np.array(25, np.float32), "scale")
    model = helper.make_model(
        helper.make_graph(nodes, "logits", [images], [logits], [scale]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path = tmp_path / "logits" / "model.onnx"
    path.parent.mkdir()
    onnx.save(model, path)
    outputs = ("part_logits",)
    save_card(path, Card(COLOURS.to_dict(), asdict(Geometry(64)), "fp32", "fpn", outputs=outputs))
    return path.parent


def coloured(tmp_path, pictures):
    """Write a video of pictures without any loss."""
    path = tmp_path / "scene.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25, pix_fmt="bgr0")
        for picture in pictures:
            if not stream.codec_context.is_open:
                stream.height, stream.width = picture.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def parsed_lines(command, out, name="scene"):
    assert cli.main([*command, "-o", str(out)]) == 0
    return [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]


def walkers(count=12):
    """A green and a blue person on red ground, who walk to the right."""
    for index in range(count):
        picture = np.full((64, 128, 3), (200, 30, 30), np.uint8)
        picture[20:50, 4 + 3 * index : 20 + 3 * index] = (30, 200, 30)
        picture[20:50, 64 + 3 * index : 80 + 3 * index] = (30, 30, 200)
        yield picture


def test_people_keep_their_ids_and_colours(artefact, tmp_path):
    scene = coloured(tmp_path, walkers())
    lines = parsed_lines(["parse", "-a", str(artefact()), str(scene), "--jobs", "2"], tmp_path / "out")
    order = [[one["id"] for one in sorted(line["people"], key=lambda one: one["box"][0])] for line in lines]
    assert order == [order[0]] * 12 and sorted(order[0]) == [1, 2]
    assert all({"id", "score", "box"} == set(one) for line in lines for one in line["people"])


def test_smoothing_calms_noise_and_forgets_at_a_cut(logits_artefact, tmp_path):
    noise = np.random.default_rng(0)
    grey = np.full((64, 64, 3), 120, np.uint8)
    still = [np.clip(grey + noise.normal(0, 6, grey.shape), 0, 255).astype(np.uint8) for _ in range(8)]
    other = np.kron(noise.integers(0, 256, (8, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    scene = coloured(tmp_path, [*still, other, other])
    command = ["parse", "-a", str(logits_artefact), str(scene), "--part-maps", "--write", "map"]
    maps = {}
    for smooth in ("0", "0.8"):
        out = tmp_path / smooth
        lines = parsed_lines([*command, "--smooth", smooth], out)
        maps[smooth] = np.array([np.asarray(Image.open(path)) for path in sorted((out / "scene_maps").iterdir())])
        assert ("smooth" in lines[1]["timings_ms"]) == (smooth != "0")
    flicker = {smooth: (found[1:8] != found[:7]).mean() for smooth, found in maps.items()}
    assert flicker["0.8"] < 0.5 * flicker["0"], flicker
    np.testing.assert_array_equal(maps["0"][8], maps["0.8"][8])
    assert cli.main([*command, "--smooth", "0.8", "--resume", "-o", str(tmp_path / "0")]) == 0


def test_smoothing_without_logits_is_an_error(artefact, walk, tmp_path, capsys):
    command = ["parse", "-a", str(artefact()), str(walk), "-o", str(tmp_path / "out")]
    assert cli.main([*command, "--smooth", "0.5"]) == 2
    assert "--smooth needs an artefact with part_logits" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main([*command, "--smooth", "1"])
    assert "--smooth: must be a number from 0 to 0.99, not '1'" in capsys.readouterr().err


def test_speed_and_missing_sound_are_printed(artefact, tmp_path, capsys):
    frames = (Frame(index, index, picture) for index, picture in enumerate(walkers(3)))
    with_sound(tmp_path / "Прогулка é.mp4", frames)
    out = tmp_path / "out"
    assert cli.main(["parse", "-a", str(artefact()), str(tmp_path / "Прогулка é.mp4"), "-o", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    speed = f"{found['frames_per_second']:.1f}"
    assert f"Прогулка é.mp4: 3 frames, {speed} frames/s at 64 (openvino, f32)" in printed.err
    assert "its sound is not in the mosaic" in printed.err
    assert sorted(path.name for path in out.iterdir()) == ["Прогулка é.jsonl", "Прогулка é_mosaic.mp4"]


def test_a_full_disk_stops_and_leaves_no_files(artefact, walk, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise av.error.OSError(errno.ENOSPC, "No space left on device", "walk_mosaic.mp4")

    monkeypatch.setattr("m2fp_kd.runtime.video.writing._picture", full)
    out = tmp_path / "out"
    assert cli.main(["parse", "-a", str(artefact()), str(walk), "-o", str(out), "--part-maps"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "walk_mosaic.mp4: cannot be written (No space left on device)" in last and "free some space" in last
    assert not list(out.iterdir())


def test_the_persons_of_a_mask_classifier_have_ids(people_artefact, tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (180, 225, 3), np.uint8)
    scene = coloured(tmp_path, [photo] * 3)
    lines = parsed_lines(["parse", "-a", str(people_artefact), str(scene)], tmp_path / "out")
    ids = [[one["id"] for one in line["people"]] for line in lines]
    assert ids == [list(range(1, len(ids[0]) + 1))] * 3 and ids[0]
    assert lines[0]["people_kind"] == "persons" and lines[0]["people"][0]["score"] > 0.3
