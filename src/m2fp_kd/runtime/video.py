"""Read and write videos frame by frame with PyAV (FFmpeg's libraries), which is imported on first use. Sound is neither
read nor written.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from m2fp_kd.versions import install_hint

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".3gp")

QUALITY = {"crf": "20", "preset": "veryfast"}


class VideoError(ValueError):
    """Raised for a video that cannot be read; the message names the video and the cause."""


@dataclass(frozen=True)
class Video:
    """Properties of a video stream.

    Attributes:
        rate: average number of frames per second.
        tick: unit of times, in seconds.
        length: number of frames; None where the file does not record it.
    """

    rate: Fraction
    tick: Fraction
    length: int | None


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


def read_video(path: Path) -> Video:
    """Return the properties of a file's first video stream.

    Raises:
        VideoError: PyAV is not installed, the file is broken or not a video, or has no video stream.
    """
    with _opened(path) as (container, stream):
        rate = stream.average_rate or Fraction(25)
        length = stream.frames or round((container.duration or 0) / 1e6 * rate)
        return Video(rate, stream.time_base or 1 / rate, length or None)


def read_frames(path: Path, every: int = 1) -> Iterator[Frame]:
    """Yield the frames of a file's first video stream, in the order of their times.

    Args:
        path: video file.
        every: yield every Nth frame only, beginning with the first.

    Raises:
        VideoError: as in `read_video`, or a frame is broken, frames differ in size, or there are none.
    """
    with _opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        start, before, size = 0, -1, None
        for index, picture in enumerate(container.decode(stream)):
            ticks = index if picture.pts is None else picture.pts
            start = ticks if index == 0 else start
            before = max(ticks - start, before + 1)
            if index % every:
                continue
            # A rotated phone stores the sensor's rows unrotated and records the angle.
            image = np.rot90(picture.to_ndarray(format="rgb24"), picture.rotation // 90)
            if image.shape != (size or image.shape):
                raise VideoError(f"{path}: frame {index} differs in size from those before it; cut the video there")
            size = image.shape
            yield Frame(index, before, np.ascontiguousarray(image))
        if size is None:
            raise VideoError(f"{path}: has no frames; is it cut off? Copy it again")


def write_video(path: Path, frames: Iterable[Frame], video: Video) -> None:
    """Write frames of one size as H.264; odd sides are padded by one pixel, because the format requires even ones.

    Args:
        path: new file; its ending chooses the container.
        frames: frames with their times.
        video: rate and ticks of the new file.

    Raises:
        OSError: the file cannot be written.
    """
    import av

    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=video.rate, options=QUALITY)
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = video.tick
            for frame in frames:
                height, width = frame.image.shape[:2]
                image = np.pad(frame.image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
                if not stream.codec_context.is_open:
                    stream.height, stream.width = image.shape[:2]
                picture = av.VideoFrame.from_ndarray(image, format="rgb24")
                picture.pts, picture.time_base = frame.ticks, video.tick
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    except av.FFmpegError as error:
        raise OSError(f"{path.name}: cannot be written ({error.strerror})") from error


@contextmanager
def _opened(path: Path) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """Open a file and yield it with its first video stream; PyAV's errors become VideoError."""
    try:
        import av
    except ModuleNotFoundError as error:
        raise VideoError(f"{path}: videos are read by PyAV: {install_hint('video')}") from error
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(f"{path}: has no video stream")
            yield container, container.streams.video[0]
    except av.FFmpegError as error:
        raise VideoError(f"{path}: cannot be read as a video ({error.strerror}); does a player play it?") from error
