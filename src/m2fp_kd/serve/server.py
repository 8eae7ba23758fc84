"""Load the models, listen, and stop gently."""

import ctypes
import logging
import platform
import signal
import sys
from pathlib import Path

from m2fp_kd.runtime.cores import usable_cores
from m2fp_kd.serve.app import create_app
from m2fp_kd.serve.connections import Server
from m2fp_kd.serve.memory_budget import HeldBytes
from m2fp_kd.serve.models import load_model
from m2fp_kd.serve.settings import Settings

log = logging.getLogger(__name__)

M_ARENA_MAX = -8
"""Parameter of glibc's `mallopt`, from `malloc.h`."""

ARENAS = 2
"""Number of heaps that the threads share."""

M_MMAP_THRESHOLD = -3
LARGE = 1 << 20
"""Bytes of an allocation that glibc returns to the system when it is freed."""

SWITCH_SECONDS = 0.001
"""Time after which Python lets another thread run; shorter than by default, so that health checks wait less."""


def serve(
    lite: Path,
    full: Path | None,
    host: str,
    port: int,
    engine: str | None,
    streams: int | None,
    threads: int,
    settings: Settings,
    device: Path | None,
) -> None:
    """Serve until interrupted.

    Args:
        lite: artefact of the student.
        full: artefact of the full M2FP, for the light-mode switch; None for a server without it.
        host: address to listen at.
        port: port to listen at; 0 for any free port.
        engine: as in `Parser.load`.
        streams: photos that the student parses at the same time; None for the number of cores divided by `threads`.
        threads: CPU threads of each stream.
        settings: limits.
        device: as in `create_app`.

    Raises:
        OSError: the address cannot be used.
    """
    _share_heaps()
    sys.setswitchinterval(SWITCH_SECONDS)
    cores = usable_cores()
    models = {"lite": load_model("lite", lite, streams or max(1, cores // threads), threads, engine, settings)}
    if full is not None:
        models["full"] = load_model("full", full, 1, cores, engine, settings)
    held = HeldBytes(1e6 * settings.held_megabytes)
    # One thread for every place in the queues and some more, so that a refusal never waits for a thread.
    app = create_app(models, settings, held, device)
    server = Server(app, host, port, settings.waiting * len(models) + 8, settings, held)
    for number in (signal.SIGTERM, signal.SIGINT):  # containers and systemd stop a server with the first
        signal.signal(number, lambda number, _: _stop(server, number))
    for model in models.values():
        log.info("%(mode)s: %(title)s, %(megabytes)s MB, %(engine)s %(compute_precision)s", model.facts)
    log.info("http://%s:%s/ is ready; /docs describes the API, Ctrl-C stops", host, server.effective_port)
    try:
        server.run()
    finally:
        for model in models.values():
            model.worker.drop()  # the time of grace is over, and nobody can take their answers
            model.worker.close()


def _stop(server: Server, number: int) -> None:
    """Stop at the first signal gently, at the second at once."""
    signal.signal(number, signal.SIG_DFL)
    log.info("stopping: requests in flight have %g s to finish", server.settings.grace)
    server.stop()


def _share_heaps() -> None:
    """Make all threads allocate from a few heaps, and return large blocks to the system at once.

    By default glibc creates up to eight heaps per core, each keeps the memory of its busiest moment, and blocks of up
    to 32 MB come from them as soon as one was freed.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
