"""Videos, frame by frame: times, rotation and colours survive; broken files are named."""

import errno
import os
import struct
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="needs the video extra")

import av

from m2fp_kd.runtime.video.reading import Frame, Video, VideoError, read_frames, read_video
from m2fp_kd.runtime.video.writing import write_video
from tests.runtime.video.files import with_sound

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
    with pytest.raises(OSError, match=r"cannot be written .No such file or directory"):
        write_video(tmp_path / "gone" / "video.mp4", frames(1), NTSC)


def cut_off(path: Path, name: str, share: float, **options: str) -> Path:
    """Write a noisy video of 30 frames as `name` and return a copy of its first share of bytes."""
    noise = np.random.default_rng(0)
    pictures = (Frame(i, i, noise.integers(0, 256, (48, 64, 3), np.uint8)) for i in range(30))
    if options:  # such as an index at the beginning of the file, as the web's videos have
        with av.open(str(path / name), "w", options=options) as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for frame in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
            container.mux(stream.encode(None))
    else:
        write_video(path / name, pictures, Video(Fraction(25), Fraction(1, 25), None))
    data = (path / name).read_bytes()
    (path / f"cut_{name}").write_bytes(data[: int(share * len(data))])
    return path / f"cut_{name}"


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.mkv", {}), ("a.avi", {}), ("a.mp4", {"movflags": "faststart"}), ("b.mp4", {"movflags": "frag_keyframe"})],
)
def test_the_frames_of_an_incomplete_copy_are_read_with_a_warning(tmp_path: Path, name: str, options) -> None:
    path = cut_off(tmp_path, name, 0.6, **options)
    with pytest.warns(
        UserWarning, match=rf"cut_{name[0]}\....: ends after 0\.\d of 1\.\d s \(frame 1\d\); is it cut off"
    ):
        found = list(read_frames(path))
    assert 10 < len(found) < 20
    with warnings.catch_warnings(action="error"):
        assert len(list(read_frames(tmp_path / name))) == 30


def test_files_without_frames_are_named(tmp_path: Path) -> None:
    (tmp_path / "nothing.mp4").touch()
    with pytest.raises(VideoError, match=r"nothing\.mp4: cannot be read as a video"):
        list(read_frames(tmp_path / "nothing.mp4"))
    with av.open(str(tmp_path / "zero.mp4"), "w") as container:
        container.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="yuv420p")
        container.start_encoding()
    with pytest.raises(VideoError, match=r"zero\.mp4: has no video stream"):
        list(read_frames(tmp_path / "zero.mp4"))


@pytest.mark.parametrize("name", ["прогулка 散步 é.mp4", os.fsdecode(b"walk\xff.mp4")])
def test_any_name_of_a_file(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / name, frames(3), NTSC)
    assert len(list(read_frames(tmp_path / name))) == 3


@pytest.mark.parametrize("name", ["a:b.mp4", "concat:b.mp4"])
def test_a_relative_name_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """FFmpeg takes what stands before a colon for a protocol."""
    monkeypatch.chdir(tmp_path)
    write_video(Path(name), frames(3), NTSC)
    assert read_video(Path(name)).length == len(list(read_frames(Path(name)))) == 3


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as error:
        write_video(tmp_path / "full.mp4", frames(40), NTSC)
    assert error.value.errno == errno.ENOSPC and error.value.filename.endswith("full.mp4")


def test_sound_is_noticed(tmp_path: Path) -> None:
    write_video(tmp_path / "silent.mp4", frames(2), NTSC)
    assert not read_video(tmp_path / "silent.mp4").sound
    with_sound(tmp_path / "loud.mp4", frames(3))
    assert read_video(tmp_path / "loud.mp4").sound
    assert len(list(read_frames(tmp_path / "loud.mp4"))) == 3
