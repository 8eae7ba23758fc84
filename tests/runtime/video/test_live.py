"""Cameras and streams: the newest frame, no growing delay, lost streams, and what is a live source."""

import functools
import http.server
import threading
import time
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("av", reason="needs the video extra")

import av

from m2fp_kd.runtime.video.live import Live, LiveSource
from m2fp_kd.runtime.video.reading import Frame, Video, VideoError
from m2fp_kd.runtime.video.writing import write_video
from tests.runtime.video.rtsp import rtsp_camera
from tests.runtime.video.sender import Sender, number_of, sending


def test_what_is_live(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").mkdir()
    assert LiveSource.of("0") == LiveSource.of("/dev/video0") == LiveSource("/dev/video0", "camera 0", "camera0", True)
    for text in ("7", "photo.jpg", "a:b.mp4", "0/", "C:/photos", "2026-11", "12345"):
        assert LiveSource.of(text) is None, text
    found = LiveSource.of("rtsp://me:word@host:554/live/1?token=secret")
    assert found.address == "rtsp://me:word@host:554/live/1?token=secret"
    assert (found.name, found.stem, found.camera) == ("rtsp://host:554/live/1", "host_554_live_1", False)


def test_a_machine_without_this_camera():
    with pytest.raises(VideoError, match=r"camera 987: there is no /dev/video987, and no such file; this machine has "):
        Live(LiveSource.of("987")).__enter__()


def test_a_wrong_address_is_an_error_without_the_password():
    with pytest.raises(VideoError, match=r"http://127\.0\.0\.1:9/x: cannot be opened") as error:
        Live(LiveSource.of("http://me:word@127.0.0.1:9/x")).__enter__()
    assert "word" not in str(error.value)


def test_a_slow_reader_gets_the_newest_frames():
    with sending(Sender(rate=50)) as sender, Live(LiveSource.of(sender.url)) as live:
        behind, indices, times = [], [], []
        for frame in live.frames():
            behind.append((sender.sent - 1 - number_of(frame.image)) % 50)
            indices.append(frame.index)
            times.append(frame.ticks / 1000)
            if len(indices) == 8:
                live.stop()
            time.sleep(0.2)
    assert np.diff(indices).min() > 1, "frames were left out"
    assert max(behind[1:]) < 25, f"frames behind the camera: {behind}"
    assert behind[-1] <= max(behind[1:4]) + 8, f"the delay grows: {behind}"
    assert 0.15 < np.diff(times).mean() < 1.0


def test_a_lost_stream_is_opened_again():
    with sending(Sender(per_connection=40)) as sender, Live(LiveSource.of(sender.url)) as live:
        last = None
        for frame in live.frames():
            last = frame.index
            if sender.accepted == 3:
                live.stop()
    assert sender.accepted == 3 and last > 40


def test_a_stream_that_does_not_come_back_ends_with_a_sentence(monkeypatch):
    monkeypatch.setattr(Live, "patience", 1.0)
    with (
        sending(Sender(per_connection=60, connections=1)) as sender,
        Live(LiveSource.of(sender.url)) as live,
    ):
        found = list(live.frames())
    assert found and live.ended.startswith("it ") and live.ended.endswith(", and it did not come back in 1 s")


def test_a_camera_that_speaks_rtsp():
    with rtsp_camera(frames=150) as url, Live(LiveSource.of(url)) as live:
        found = []
        for frame in live.frames():
            found.append(frame)
            if len(found) == 10:
                live.stop()
    assert not live.recorded and live.ended is None
    assert all(frame.image.shape == (48, 64, 3) for frame in found)
    assert len({round(float(frame.image.mean())) for frame in found}) > 3, "time goes by"


@contextmanager
def served(folder):
    """Serve the files of a folder; yield the address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def pictures(count):
    return (Frame(index, index, np.full((48, 64, 3), 5 * index, np.uint8)) for index in range(count))


def test_the_frames_of_a_segment_are_taken_when_they_are_due(tmp_path):
    with av.open(str(tmp_path / "live.m3u8"), "w", format="hls", options={"hls_time": "1"}) as container:
        stream = container.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="yuv420p")
        for frame in pictures(25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
        container.mux(stream.encode(None))
    playlist = (tmp_path / "live.m3u8").read_text().replace("#EXT-X-ENDLIST", "")
    (tmp_path / "live.m3u8").write_text(playlist)
    times = []
    with served(tmp_path) as address, Live(LiveSource.of(f"{address}/live.m3u8")) as live:
        for frame in live.frames():
            times.append(frame.ticks / 1000)
            if len(times) == 8:
                live.stop()
    assert not live.recorded and times[-1] > 0.25, times


def test_a_recording_loses_no_frame(tmp_path):
    write_video(tmp_path / "clip.mkv", pictures(30), Video(Fraction(25), Fraction(1, 25), None))
    with served(tmp_path) as address, Live(LiveSource.of(f"{address}/clip.mkv"), every=3) as live:
        found = [frame for frame in live.frames() if not time.sleep(0.02)]
    assert [frame.index for frame in found] == list(range(0, 30, 3)) and live.ended is None
    assert [frame.ticks for frame in found] == [120 * index for index in range(10)]
