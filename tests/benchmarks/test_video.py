"""The measurement of videos."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="needs the video extra")

from benchmarks import video
from tests.runtime.conftest import artefact  # noqa: F401


def test_flicker_is_the_share_of_pixels_that_change(tmp_path):
    for index, changed in enumerate((0, 0, 5, 5)):
        picture = np.zeros((10, 10), np.uint8)
        picture[0, :changed] = 1
        Image.fromarray(picture).save(tmp_path / f"{index:06}.png")
    assert video.flicker(tmp_path) == pytest.approx(5 / 3)


def test_a_pan_moves_over_the_whole_of_a_small_photo():
    photo = np.arange(60, dtype=np.uint8)[None, :, None].repeat(40, 0).repeat(3, 2)
    frames = [frame.image for frame in video.pan(photo, 5)]
    assert {frame.shape for frame in frames} == {(*video.SIZE, 3)}
    np.testing.assert_array_equal(frames[0][:, video.STEP :], frames[1][:, : -video.STEP])


def test_the_table(artefact, tmp_path, capsys, monkeypatch):  # noqa: F811
    photo = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    monkeypatch.setattr(video, "SIZE", (48, 64))
    monkeypatch.setitem(os.environ, "PYTHONPATH", ":".join(sys.path))
    video.main([str(tmp_path / "photo.png"), "-a", str(artefact()), "--frames", "4", "--smooth", "0", "--jobs", "1"])
    head, _, row, _, machine = capsys.readouterr().out.splitlines()
    assert row.startswith("| 0 | ") and row.count("|") == head.count("|")
    assert "jobs 1, threads default, network input 64, 4 frames of 64x48; other processes used " in machine
