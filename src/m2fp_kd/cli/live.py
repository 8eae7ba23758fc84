"""`m2fp-kd parse` of a camera or a stream: into files, and into a window where there is a display."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from m2fp_kd.cli.chosen import translation_of, wanted_of
from m2fp_kd.cli.frames import Work
from m2fp_kd.cli.jobs import Job, Wanted
from m2fp_kd.cli.options import announce_demo
from m2fp_kd.cli.progress import Progress
from m2fp_kd.cli.video import Drawn, Recording, summary
from m2fp_kd.cli.window import Window, open_window
from m2fp_kd.signals import handled

if TYPE_CHECKING:
    from m2fp_kd.runtime.parser import Parser
    from m2fp_kd.runtime.video.live import Live, LiveSource


def source(text: str) -> "Path | LiveSource":
    """Return what a word of the command line names: a camera, a stream, or files."""
    from m2fp_kd.runtime.video.live import LiveSource

    return LiveSource.of(text) or Path(text)


def parse_live(live_source: "LiveSource", options: argparse.Namespace) -> int:
    """Parse a camera or stream until it ends, or until the user ends it by Ctrl-C, SIGTERM or closing the window.

    Returns:
        0, or 1 if the camera or stream was lost for good; the files hold what came before.

    Raises:
        VideoError: the source cannot be opened, or no frame arrives; nothing is written.
        ValueError: an option or another source does not go with a live source.
    """
    from m2fp_kd.runtime.parser import Parser
    from m2fp_kd.runtime.video.live import Live

    if len(options.sources) > 1 or options.resume or options.shard:
        raise ValueError(f"{live_source.name} does not go with other sources, --resume or --shard; parse it by itself")
    wanted = wanted_of(options, videos=True)
    translation = translation_of(options, wanted)
    options.output.mkdir(parents=True, exist_ok=True)
    announce_demo(options.artefact)
    with Live(live_source, options.every) as live, _stopped_by_signals(live.stop):
        jobs = options.jobs or 1
        parser = Parser.load(
            options.artefact, options.engine, options.threads, options.precision, streams=jobs, translation=translation
        )
        window = open_window(live_source.name)
        try:
            words = _record(parser, live, live_source, options, wanted, window)
        finally:
            if window:
                window.close()
    print(words, file=sys.stderr)
    if live.ended:
        print(f"{live_source.name}: {live.ended}", file=sys.stderr)
    return 1 if live.ended else 0


def _record(
    parser: "Parser",
    live: "Live",
    live_source: "LiveSource",
    options: argparse.Namespace,
    wanted: Wanted,
    window: Window | None,
) -> str:
    """Write all results; return number and speed of the frames, and the files, in words."""
    name = f"{live_source.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    job = Job(Path(live_source.name), options.output / name, is_video=True)
    recording = Recording(live_source.name, live.video, job, wanted, name, draws=wanted.mosaics or window is not None)
    work = Work(options.jobs or 1, options.jobs or 1, options.megapixels, options.smooth)
    progress = Progress(None)

    def see(one: Drawn) -> None:
        progress.show(one.frame.index + 1, live_source.name)
        if window:
            window.show(one.frame.image)
            if window.closed:
                live.stop()

    found = recording.write(parser, live.frames(), work, see)
    progress.clear()
    left_out = live.arrived // options.every - found["parsed"]
    return f"{summary(parser, found)}; {max(0, left_out)} left out, to stay up to date; {found['frames']}"


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` when the user presses Ctrl-C or SIGTERM arrives; the second time has its usual effect."""
    with ExitStack() as listening:

        def stopped(*_: object) -> None:
            listening.close()
            stop()

        listening.enter_context(handled(stopped, [signal.SIGINT, signal.SIGTERM]))
        yield
