"""Cameras and streams on the command line: whole files however they end, and the window."""

import json
import os
import shutil
import signal
import subprocess
import time
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("av", reason="needs the video extra")

from m2fp_kd import cli
from m2fp_kd.cli import live
from m2fp_kd.cli.window import Screen, open_window
from m2fp_kd.runtime.video.reading import read_frames
from tests.runtime.video.sender import Sender, sending


class FakeWindow:
    """A window that does something when it shows the fifth frame."""

    def __init__(self, act):
        self.act, self.shown, self.closed = act, [], False

    def show(self, image):
        self.shown.append(image)
        if len(self.shown) == 5:
            self.act(self)

    def close(self):
        self.closed = True


def interrupted(number):
    return lambda _: os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    "act",
    [interrupted(signal.SIGINT), interrupted(signal.SIGTERM), FakeWindow.close],
    ids=["ctrl-c", "sigterm", "window"],
)
def test_a_stream_ends_with_whole_files(artefact, tmp_path, capsys, monkeypatch, act):
    window, out = FakeWindow(act), tmp_path / "out"
    monkeypatch.setattr(live, "open_window", lambda _: window)
    before = signal.getsignal(signal.SIGINT)
    with sending(Sender()) as sender:
        assert cli.main(["parse", sender.url, "-a", str(artefact()), "-o", str(out)]) == 0
    assert signal.getsignal(signal.SIGINT) is before
    lines, mosaic = sorted(out.iterdir(), key=lambda path: path.suffix)
    assert lines.name.startswith("127.0.0.1") and lines.suffix == ".jsonl" and mosaic.name.endswith("_mosaic.mp4")
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    assert 5 <= len(found) <= 7 and all(one["people"][0]["id"] for one in found)
    times = [one["time_s"] for one in found]
    assert times[0] == 0 and all(one < other for one, other in pairwise(times))
    frames = list(read_frames(mosaic))
    assert len(frames) == len(found) and frames[0].image.shape[:2] == tuple(
        -(-n // 2) * 2 for n in window.shown[0].shape[:2]
    )
    printed = capsys.readouterr().err
    assert f"{len(found)} frames, " in printed and "left out, to stay up to date" in printed
    assert "secret" not in printed + lines.read_text()


def test_a_lost_stream_ends_with_a_sentence_and_its_files(artefact, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("m2fp_kd.runtime.video.live.Live.patience", 1.0)
    monkeypatch.setattr(live, "open_window", lambda _: None)
    command = ["parse", "-a", str(artefact()), "-o", str(tmp_path / "out"), "--write", "map"]
    with sending(Sender(per_connection=100, connections=1, rate=20)) as sender:
        assert cli.main([*command, sender.url]) == 1
    (lines,) = (tmp_path / "out").iterdir()
    assert lines.read_text().count("\n") >= 1
    assert "/camera.mjpeg: it " in capsys.readouterr().err


def test_a_machine_without_the_camera_and_other_sources(artefact, tmp_path, capsys):
    command = ["parse", "-a", str(artefact()), "-o", str(tmp_path / "out"), "987"]
    assert cli.main(command) == 2
    assert "camera 987: there is no /dev/video987" in capsys.readouterr().err
    for more in ("--resume", "photo.jpg"):
        assert cli.main([*command, more]) == 2
        assert "camera 987 does not go with other sources, --resume or --shard" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


def test_without_a_display_there_is_no_window(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    assert open_window("camera 0") is None
    monkeypatch.setenv("DISPLAY", ":987")
    assert open_window("camera 0") is None


@pytest.fixture
def display(monkeypatch):
    """A display without a screen."""
    if not shutil.which("Xvfb"):
        pytest.skip("needs Xvfb")
    read, write = os.pipe()
    with subprocess.Popen(["Xvfb", "-displayfd", str(write)], pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        monkeypatch.setenv("DISPLAY", f":{os.read(read, 10).decode().strip()}")
        yield server
        server.terminate()
    os.close(read)
    os.close(write)


def grey(level):
    return np.full((48, 64, 3), level, np.uint8)


def test_a_key_closes_the_screen(display):
    screen = Screen("camera 0")
    for level in (0, 200):
        screen.draw(grey(level))
    assert (screen._root.winfo_width(), screen._root.winfo_height()) >= (64, 48)
    screen._root.focus_force()
    screen.update()
    screen._root.event_generate("<Escape>")
    assert screen.closed


def test_a_window_whose_display_dies_is_closed_and_takes_nothing_with_it(display):
    window = open_window("camera 0")
    for level in (0, 100, 200):
        window.show(grey(level))
        assert not window.closed
    display.kill()
    display.wait()
    limit = time.monotonic() + 20
    while not window.closed and time.monotonic() < limit:
        window.show(grey(0))
        time.sleep(0.05)
    assert window.closed
    window.show(grey(0))
    window.close()


def test_the_window_is_closed_with_the_recording(display):
    window = open_window("camera 0")
    window.show(grey(0))
    window.close()
    assert window.closed
