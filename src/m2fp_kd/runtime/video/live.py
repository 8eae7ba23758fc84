"""Cameras and streams: always the newest frame, and a lost stream is opened again."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit, urlunsplit

from m2fp_kd.runtime.video.reading import USUAL_RATE, Frame, Video, VideoError, upright
from m2fp_kd.versions import install_hint

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

TICK = Fraction(1, 1000)
"""Unit of the times of live frames, in seconds; they are those of the arrival."""

OPENING, READING = 10.0, 5.0
"""Seconds after which a stream that does not open, or sends nothing, is lost."""

PATIENCE = 30.0
"""Seconds in which a lost stream must come back."""

LONGEST_SEGMENT = 20.0
"""Seconds that a segment of an HLS stream lasts at most. Its frames arrive at once and are kept until they are due."""

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each attempt to open a lost stream again; the last one is repeated."""

OPTIONS = {"rtsp_transport": "tcp"}
"""FFmpeg's options of streams: no loss of packets. `fflags=nobuffer` would drop the first frames of recordings."""


@dataclass(frozen=True)
class LiveSource:
    """A camera or a stream.

    Attributes:
        address: URL, or file of the camera.
        name: what messages and results call it, without a password.
        stem: start of the names of its results.
        camera: whether it is a camera of this machine.
    """

    address: str
    name: str
    stem: str
    camera: bool

    @classmethod
    def of(cls, text: str) -> "LiveSource | None":
        """Return the source that a text means: a URL, or the number or device of a camera. None for any other text.

        An existing file or folder whose name is a number is none.
        """
        number = text if re.fullmatch(r"[0-9]{1,4}", text) and not Path(text).exists() else None
        if device := re.fullmatch(r"/dev/video([0-9]+)", text):
            number = device[1]
        if number is not None:
            return cls(f"/dev/video{int(number)}", f"camera {int(number)}", f"camera{int(number)}", camera=True)
        if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", text):
            return None
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
        stem = re.sub(r"[^\w.-]+", "_", f"{host}{parts.path}").strip("._") or parts.scheme
        return cls(text, urlunsplit((parts.scheme, host, parts.path, "", "")), stem, camera=False)


class Live:
    """The frames of a camera or stream, as a context manager.

    A thread decodes every frame and keeps the newest only, so frames that arrive faster than they are taken are left
    out, and the delay does not grow. Of a recording it leaves out none.

    Attributes:
        patience: seconds in which a lost stream must come back; a camera that is lost is not opened again.
        video: properties of a video of the frames.
        recorded: whether the opened source is a recording, which has a length.
        arrived: number of frames that arrived.
        ended: why no more frames arrive; None while they do, or if this is the end of a recording.
    """

    patience = PATIENCE
    video = Video(USUAL_RATE, TICK, None)

    def __init__(self, source: LiveSource, every: int = 1) -> None:
        """Remember the source.

        Args:
            source: camera or stream.
            every: keep every Nth frame only.
        """
        self.arrived = 0
        self.ended: str | None = None
        self._source, self._every = source, every
        self._newest: _Arrived | None = None
        self._changed = threading.Condition()
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        """Open the source.

        Raises:
            VideoError: it cannot be opened, or has no video stream.
        """
        container = open_live(self._source)
        self.recorded = container.duration is not None
        self._thread = threading.Thread(target=self._run, args=(container,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(timeout=1.0)  # it may wait for a stream that sends nothing

    def stop(self) -> None:
        """End the frames. A signal handler may call it, because it takes no lock."""
        self._stop.set()

    def frames(self) -> Iterator[Frame]:
        """Yield the newest frame whenever one is wanted, until the source ends or is stopped.

        The index counts the frames that arrived. The time is that of the arrival or, in a recording, its own, from the
        first frame.

        Raises:
            VideoError: no frame arrives at all, or their size changes, as that of a stream that comes back may.
        """
        start, before, size = 0.0, -1, None
        while (found := self._next()) is not None:
            image = upright(found.picture)
            if size is None:
                start, size = found.seconds, image.shape
            if image.shape != size:
                raise VideoError(f"{self._source.name}: the size of the frames changed; begin again")
            before = max(round((found.seconds - start) / TICK), before + 1)
            yield Frame(found.number, before, image)
        if size is None:
            raise VideoError(f"{self._source.name}: no frame arrived" + (f": {self.ended}" if self.ended else ""))

    def _next(self) -> "_Arrived | None":
        """Wait for a frame and take it; None when there are no more."""
        with self._changed:
            while self._newest is None and self._thread.is_alive() and not self._stop.is_set():
                self._changed.wait(0.1)
            found, self._newest = self._newest, None
            self._changed.notify()
        return None if self._stop.is_set() else found

    def _run(self, container: "InputContainer | None") -> None:
        """Read until the source ends for good; runs in a thread."""
        reason, once = "", True
        while container is not None:
            reason, once = self._read(container), self._source.camera or self.recorded
            container = None if once else self._open_again()
        if reason and not self._stop.is_set():
            self.ended = reason if once else f"{reason}, and it did not come back in {self.patience:g} s"
        with self._changed:
            self._changed.notify()

    def _read(self, container: "InputContainer") -> str:
        """Keep the newest frame until the stream ends; return why it did, nothing at the end of a recording."""
        import av

        try:
            with container:
                in_segments = container.format.name == "hls" and not self.recorded
                began: float | None = None
                for picture in container.decode(container.streams.video[0]):
                    due = picture.time or 0.0
                    began = time.monotonic() - due if began is None else began
                    if in_segments and 0 < (early := began + due - time.monotonic()) < LONGEST_SEGMENT:
                        self._stop.wait(early)
                    seconds = due if self.recorded else time.monotonic()
                    self._keep(_Arrived(self.arrived, seconds, picture))
                    if self._stop.is_set():
                        break
        except av.FFmpegError as error:
            return f"it was lost ({error.strerror})"
        return "" if self.recorded else "it ended"

    def _keep(self, arrived: "_Arrived") -> None:
        """Replace the newest frame; in a recording, wait until it was taken."""
        with self._changed:
            while self.recorded and self._newest is not None and not self._stop.is_set():
                self._changed.wait(0.1)
            if self.arrived % self._every == 0:
                self._newest = arrived
                self._changed.notify()
            self.arrived += 1

    def _open_again(self) -> "InputContainer | None":
        """Open a lost stream; None if it does not come back, or if the frames are stopped."""
        lost, attempt = time.monotonic(), 0
        while time.monotonic() - lost < self.patience:
            if self._stop.wait(PAUSES[min(attempt, len(PAUSES) - 1)]):
                return None
            attempt += 1
            with suppress(VideoError):
                return open_live(self._source)
        return None


class _Arrived(NamedTuple):
    """A decoded frame: its number, its time in seconds, and its picture."""

    number: int
    seconds: float
    picture: "VideoFrame"


def open_live(source: LiveSource) -> "InputContainer":
    """Open a camera or stream.

    Raises:
        VideoError: PyAV is not installed, the source cannot be opened, or it has no video stream.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise VideoError(f"{source.name}: cameras and streams are read by PyAV: {install_hint('video')}") from error
    if source.camera and not Path(source.address).exists():
        there = ", ".join(str(path) for path in sorted(Path("/dev").glob("video*"))) or "no camera at all"
        raise VideoError(f"{source.name}: there is no {source.address}, and no such file; this machine has {there}")
    try:
        if source.camera:
            container = av.open(source.address, format="v4l2")
        else:
            container = av.open(source.address, options=OPTIONS, timeout=(OPENING, READING))
    except av.FFmpegError as error:
        hint = "is another program using it?" if source.camera else "is the address right, and is the sender running?"
        raise VideoError(f"{source.name}: cannot be opened ({error.strerror}); {hint}") from error
    if not container.streams.video:
        container.close()
        raise VideoError(f"{source.name}: has no video stream")
    return container
