"""The production server: the application in waitress, which occupies no thread while a slow client sends."""

import ctypes
import logging
import os
import platform
import signal
import sys
from pathlib import Path

from waitress import create_server

from m2fp_kd.serve.app import create_app
from m2fp_kd.serve.models import load_model
from m2fp_kd.serve.settings import Settings

log = logging.getLogger(__name__)

M_ARENA_MAX = -8
"""Parameter of glibc's `mallopt`, from `malloc.h`."""

ARENAS = 2
"""Number of heaps that the threads share."""

CONNECTIONS = 256
IDLE_SECONDS = 30
"""A connection that is idle for longer is closed."""


def serve(
    lite: Path,
    full: Path | None,
    host: str,
    port: int,
    engine: str | None,
    streams: int | None,
    threads: int,
    settings: Settings,
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
    """
    _share_heaps()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    models = {"lite": load_model("lite", lite, streams or max(1, cores // threads), threads, engine, settings)}
    if full is not None:
        models["full"] = load_model("full", full, 1, cores, engine, settings)
    largest = int(1e6 * settings.megabytes)
    server = create_server(
        create_app(models, settings),
        host=host,
        port=port,
        # One thread for every place in the queues and some more, so that a refusal never waits for a thread.
        threads=settings.waiting * len(models) + 8,
        connection_limit=CONNECTIONS,
        channel_timeout=IDLE_SECONDS,
        # Flask answers larger bodies with a JSON error; waitress closes twice that size unread. Nothing goes to disk.
        max_request_body_size=2 * largest,
        inbuf_overflow=2 * largest,
        outbuf_overflow=2 * largest + (1 << 26),
        ident=None,
    )
    for mode, model in models.items():
        facts = model.facts
        log.info(
            "%s: %s, %s MB, %s %s",
            mode,
            facts["title"],
            facts["megabytes"],
            facts["engine"],
            facts["compute_precision"],
        )
    log.info("http://%s:%s/ is ready; /docs describes the API, Ctrl-C stops", host, server.effective_port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # containers and systemd stop a server with it
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of shell scripts ignore it otherwise
    try:
        server.run()
    finally:
        for model in models.values():
            model.worker.close()


def _share_heaps() -> None:
    """Make all threads allocate from a few heaps.

    By default glibc creates up to eight heaps per core, and each keeps the memory of its busiest moment.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
