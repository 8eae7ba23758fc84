"""Read videos frame by frame with PyAV (FFmpeg's libraries), which is imported on first use. Sound is not read."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from m2fp_kd.versions import install_hint

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".3gp")

USUAL_RATE = Fraction(25)
"""Frames per second where a video does not record them."""

SHORTAGE = 0.05
"""Share of a video's time that may be missing at its end: files record their length inexactly."""


class VideoError(ValueError):
    """Raised for a video that cannot be read; the message names the video and the cause."""


@dataclass(frozen=True)
class Video:
    """Properties of a video stream.

    Attributes:
        rate: average number of frames per second.
        tick: unit of times, in seconds.
        length: number of frames; None where the file does not record it.
        sound: whether the file has sound as well.
    """

    rate: Fraction
    tick: Fraction
    length: int | None
    sound: bool = False


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        index: its number in the file, from 0.
        ticks: time after the first frame, in the video's ticks.
        image: uint8 (H, W, 3) RGB, upright.
    """

    index: int
    ticks: int
    image: np.ndarray


def read_video(source: Path | str) -> Video:
    """Return the properties of the first video stream of a file or URL.

    Raises:
        VideoError: PyAV is not installed, the file is broken or not a video, or has no video stream.
    """
    with opened(source) as (container, stream):
        rate = stream.average_rate or USUAL_RATE
        length = stream.frames or round((container.duration or 0) / 1e6 * rate)
        return Video(rate, stream.time_base or 1 / rate, length or None, bool(container.streams.audio))


def read_frames(source: Path | str, every: int = 1) -> Iterator[Frame]:
    """Yield the frames of the first video stream of a file or URL, in the order of their times.

    Warns where the file ends before its recorded end, as an incomplete copy does.

    Args:
        source: video file or URL.
        every: yield every Nth frame only, beginning with the first.

    Raises:
        VideoError: as in `read_video`, or a frame is broken, frames differ in size, or there are none.
    """
    with opened(source) as (container, stream):
        stream.thread_type = "AUTO"
        start, before, size, index = 0, -1, None, -1
        for index, picture in enumerate(_pictures(container, stream)):
            ticks = index if picture.pts is None else picture.pts
            start = ticks if index == 0 else start
            before = max(ticks - start, before + 1)
            if index % every:
                continue
            image = upright(picture)
            if image.shape != (size or image.shape):
                raise VideoError(f"{source}: frame {index} differs in size from those before it; cut the video there")
            size = image.shape
            yield Frame(index, before, image)
        if size is None:
            raise VideoError(f"{source}: has no frames; is it cut off? Copy it again")
        _warn_of_shortage(source, container, stream, index + 1, before)


def upright(picture: "VideoFrame") -> np.ndarray:
    """Return a decoded picture as uint8 (H, W, 3) RGB; a rotated phone stores unrotated rows and the angle."""
    return np.ascontiguousarray(np.rot90(picture.to_ndarray(format="rgb24"), picture.rotation // 90))


def _pictures(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
    """Yield the decoded pictures; a broken picture at the end of the file, where a copy was cut off, is left out.

    Raises:
        av.FFmpegError: a broken picture is followed by others.
    """
    import av

    packets = container.demux(stream)
    for packet in packets:
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            if packet.size and any(later.size for later in packets):
                raise
            return


def _warn_of_shortage(
    source: Path | str, container: "InputContainer", stream: "VideoStream", frames: int, ticks: int
) -> None:
    """Warn if the frames, of which the last is at a time in ticks, end before the video's recorded end."""
    tick, rate = stream.time_base or 1 / USUAL_RATE, stream.average_rate or USUAL_RATE
    seconds = float(ticks * tick + 1 / rate)
    if stream.duration:
        whole = float(stream.duration * tick)
    else:
        whole = (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0
    whole = max(whole, float(stream.frames / rate))
    if seconds < (1 - SHORTAGE) * whole - 2 / rate:
        text = f"{source}: ends after {seconds:.1f} of {whole:.1f} s (frame {frames}); is it cut off? Copy it again"
        warnings.warn(text, stacklevel=2)


def address(source: Path | str) -> str:
    """Return a file or URL for FFmpeg, which takes what stands before a colon in a relative path for a protocol."""
    return str(source.absolute() if isinstance(source, Path) else source)


@contextmanager
def opened(source: Path | str) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """Open a file or URL and yield it with its first video stream; PyAV's errors become VideoError."""
    try:
        import av
    except ModuleNotFoundError as error:
        raise VideoError(f"{source}: videos are read by PyAV: {install_hint('video')}") from error
    try:
        with av.open(address(source)) as container:
            if not container.streams.video:
                raise VideoError(f"{source}: has no video stream")
            yield container, container.streams.video[0]
    except av.FFmpegError as error:
        raise VideoError(f"{source}: cannot be read as a video ({error.strerror}); does a player play it?") from error
