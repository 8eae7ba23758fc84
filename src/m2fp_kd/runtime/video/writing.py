"""Write videos frame by frame with PyAV (FFmpeg's libraries), which is imported on first use. Sound is not written."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from m2fp_kd.runtime.video.reading import Frame, Video, address

if TYPE_CHECKING:
    from av import VideoFrame

QUALITY = {"crf": "20", "preset": "veryfast"}


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
        with av.open(address(path), "w") as container:
            stream = container.add_stream("libx264", rate=video.rate, options=QUALITY)
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = video.tick
            for frame in frames:
                picture = _picture(frame, video.tick)
                if not stream.codec_context.is_open:
                    stream.width, stream.height = picture.width, picture.height
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    except av.FFmpegError as error:
        raise OSError(error.errno, f"cannot be written ({error.strerror})", str(path)) from error


def _picture(frame: Frame, tick: Fraction) -> "VideoFrame":
    """Return a frame for the encoder, with even sides."""
    import av

    height, width = frame.image.shape[:2]
    image = np.pad(frame.image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    picture = av.VideoFrame.from_ndarray(image, format="rgb24")
    picture.pts, picture.time_base = frame.ticks, tick
    return picture
