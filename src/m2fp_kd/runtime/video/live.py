"""Cameras and streams: always the newest frame, and a lost stream is opened again."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

from m2fp_kd.runtime.video.reading import Frame, Video, VideoError, upright
from m2fp_kd.versions import install_hint

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

TICK = Fraction(1, 1000)
"""Unit of the times of live frames, in seconds; they are those of the arrival."""

USUAL_RATE = Fraction(25)
"""Frames a second that a file of live frames claims; each frame has its own time."""

OPENING, READING = 10.0, 5.0
"""Seconds after which a stream that does not open, or sends nothing, is lost."""

PATIENCE = 30.0
"""Seconds in which a lost stream must come back."""

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each attempt to open a lost stream again; the last one is repeated."""

OPTIONS = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay"}
"""FFmpeg's options of streams: no loss of packets, little delay."""


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


@dataclass
class Live:
    """The frames of a camera or stream while they arrive, as a context manager.

    A thread decodes every frame and keeps the newest only, so frames that arrive faster than they are taken are left
    out, and the delay does not grow.

    Args:
        source: camera or stream.
        every: keep every Nth frame only.
        patience: seconds in which a lost stream must come back; a camera that is lost is not opened again.

    Attributes:
        arrived: number of frames that arrived.
        ended: why no more frames arrive; None while they do.
    """

    source: LiveSource
    every: int = 1
    patience: float = PATIENCE
    arrived: int = field(default=0, init=False)
    ended: str | None = field(default=None, init=False)
    _newest: "tuple[int, float, VideoFrame] | None" = field(default=None, init=False)
    _changed: threading.Condition = field(default_factory=threading.Condition, init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)

    def __enter__(self) -> Self:
        """Open the source.

        Raises:
            VideoError: it cannot be opened, or has no video stream.
        """
        container = open_live(self.source)
        self._thread = threading.Thread(target=self._run, args=(container,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()
        self._thread.join(timeout=1.0)  # it may wait for a stream that sends nothing

    def stop(self) -> None:
        """End the frames. It may be called from a signal handler, so it takes no lock."""
        self._stop.set()

    @property
    def video(self) -> Video:
        """Properties of a video of the frames."""
        return Video(USUAL_RATE, TICK, None)

    def frames(self) -> Iterator[Frame]:
        """Yield the newest frame whenever one is wanted, until the source ends or is stopped.

        The index counts the frames that arrived; the time is that of the arrival, from the first frame.

        Raises:
            VideoError: the frames' size changes, as that of a stream that comes back may.
        """
        start, before, size = None, -1, None
        while (found := self._next()) is not None:
            index, arrival, picture = found
            start = arrival if start is None else start
            image = upright(picture)
            if image.shape != (size or image.shape):
                raise VideoError(f"{self.source.name}: the size of the frames changed; begin again")
            size, before = image.shape, max(round((arrival - start) / TICK), before + 1)
            yield Frame(index, before, image)

    def _next(self) -> "tuple[int, float, VideoFrame] | None":
        """Wait for a frame and take it; None when there are no more."""
        with self._changed:
            while self._newest is None and self.ended is None and not self._stop.is_set():
                self._changed.wait(0.1)
            found, self._newest = self._newest, None
        return None if self._stop.is_set() else found

    def _run(self, container: "InputContainer | None") -> None:
        """Read until the source is lost for good; runs in a thread."""
        reason = ""
        while container is not None:
            reason = self._read(container)
            container = None if self.source.camera else self._open_again()
        with self._changed:
            self.ended = reason if self.source.camera else f"{reason}, and it did not come back in {self.patience:g} s"
            self._changed.notify()

    def _read(self, container: "InputContainer") -> str:
        """Keep the newest frame until the stream ends; return why it did."""
        import av

        try:
            with container:
                for picture in container.decode(container.streams.video[0]):
                    if self._stop.is_set():
                        return "stopped"
                    self._keep(picture)
        except av.FFmpegError as error:
            return f"it was lost ({error.strerror})"
        return "it ended"

    def _keep(self, picture: "VideoFrame") -> None:
        with self._changed:
            if self.arrived % self.every == 0:
                self._newest = (self.arrived, time.monotonic(), picture)
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
                return open_live(self.source)
        return None


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


def is_recorded(source: LiveSource) -> bool:
    """Return whether a URL is a recording of a known length, all of whose frames can be parsed.

    Raises:
        VideoError: as in `open_live`.
    """
    with open_live(source) as container:
        return not source.camera and container.duration is not None
