"""Videos, frame by frame: times, rotation and colours survive; broken files are named."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="needs the video extra")

from m2fp_kd.runtime.video import Frame, Video, VideoError, read_frames, read_video, write_video

NTSC = Video(Fraction(30000, 1001), Fraction(1, 30000), None)
TURNED = {  # degrees clockwise to rotate a frame for display, as a phone records them
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
}


def frames(count: int = 6, step: int = 1001, size: tuple[int, int] = (48, 64)) -> Iterator[Frame]:
    """Red above, black below, blue on the left; a white spot grows from frame to frame."""
    for index in range(count):
        image = np.zeros((*size, 3), np.uint8)
        image[: size[0] // 2] = (200, 0, 0)
        image[:, :16] = (0, 0, 200)
        image[-8:, -8 - 4 * index :] = 250
        yield Frame(index, index * step, image)


@pytest.mark.parametrize("name", ["video.mp4", "video.mov", "video.mkv"])
def test_frames_and_times_survive(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / name, frames(), NTSC)
    video, found = read_video(tmp_path / name), list(read_frames(tmp_path / name))
    assert video.rate == NTSC.rate
    assert video.length == 6
    assert [frame.index for frame in found] == list(range(6))
    for frame, written in zip(found, frames(), strict=True):
        assert float(frame.ticks * video.tick) == pytest.approx(float(written.ticks * NTSC.tick), abs=1e-3)
        assert np.abs(frame.image.astype(int) - written.image).mean() < 12


def test_every_third_frame_plays_as_long(tmp_path: Path) -> None:
    write_video(tmp_path / "all.mp4", frames(9), NTSC)
    found = list(read_frames(tmp_path / "all.mp4", every=3))
    assert [(frame.index, frame.ticks) for frame in found] == [(0, 0), (3, 3003), (6, 6006)]
    third = Video(NTSC.rate / 3, NTSC.tick, None)
    write_video(tmp_path / "third.mp4", found, third)
    assert read_video(tmp_path / "third.mp4").rate == third.rate


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0, 40, 80, 500, 540, 1200]
    uneven = (Frame(frame.index, time, frame.image) for frame, time in zip(frames(), times, strict=True))
    write_video(tmp_path / "video.mp4", uneven, Video(Fraction(25), Fraction(1, 1000), None))
    tick = read_video(tmp_path / "video.mp4").tick
    assert [1000 * frame.ticks * tick for frame in read_frames(tmp_path / "video.mp4")] == times


def test_odd_sides_are_padded(tmp_path: Path) -> None:
    write_video(tmp_path / "odd.mp4", frames(2, size=(47, 63)), NTSC)
    image = next(read_frames(tmp_path / "odd.mp4")).image
    assert image.shape == (48, 64, 3)
    assert np.abs(image[:, -1].astype(int) - image[:, -2]).mean() < 12


@pytest.mark.parametrize("degrees", TURNED)
def test_a_rotated_phones_frames_are_upright(tmp_path: Path, degrees: int) -> None:
    write_video(tmp_path / "video.mp4", frames(2), NTSC)
    upright = next(read_frames(tmp_path / "video.mp4")).image
    a, b, c, d = TURNED[degrees]
    data = bytearray((tmp_path / "video.mp4").read_bytes())
    matrix = data.find(b"tkhd") + 44
    assert struct.unpack_from(">5i", data, matrix) == (1 << 16, 0, 0, 0, 1 << 16)
    struct.pack_into(">5i", data, matrix, a << 16, b << 16, 0, c << 16, d << 16)
    (tmp_path / "turned.mp4").write_bytes(data)
    turned = next(read_frames(tmp_path / "turned.mp4")).image
    np.testing.assert_array_equal(turned, np.rot90(upright, -degrees // 90))


def test_a_file_that_is_not_a_video_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "video.mp4", frames(), NTSC)
    data = (tmp_path / "video.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.mp4").write_text("no video")
    start = data.find(b"mdat") + 4
    (tmp_path / "damaged.mp4").write_bytes(data[:start] + b"\xa5" * 400 + data[start + 400 :])
    for name in ("cut", "text", "damaged"):
        with pytest.raises(VideoError, match=rf"{name}\.mp4: cannot be read as a video \(Invalid data"):
            list(read_frames(tmp_path / f"{name}.mp4"))


def test_a_file_with_sound_only_is_an_error(tmp_path: Path) -> None:
    header = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 1036, b"WAVEfmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", 1000)
    (tmp_path / "sound.mp4").write_bytes(header + bytes(1000))
    with pytest.raises(VideoError, match=r"sound\.mp4: has no video stream"):
        read_video(tmp_path / "sound.mp4")


def test_a_write_error_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"video\.mp4: cannot be written"):
        write_video(tmp_path / "gone" / "video.mp4", frames(1), NTSC)
