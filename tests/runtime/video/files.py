"""Videos with sound."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from m2fp_kd.runtime.video.reading import Frame


def with_sound(path: Path, frames: Iterable[Frame], rate: int = 25) -> None:
    """Write frames, and half a second of a tone in AAC."""
    import av

    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("libx264", rate=rate), container.add_stream("aac", rate=16000)
        video.pix_fmt = "yuv420p"
        for frame in frames:
            if not video.codec_context.is_open:
                video.height, video.width = frame.image.shape[:2]
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
        container.mux(video.encode(None))
        tone = np.sin(np.arange(8000) * 0.2, dtype=np.float32)[None]
        samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        samples.sample_rate = 16000
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
