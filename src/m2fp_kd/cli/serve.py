"""`m2fp-kd serve`: the web page and the API."""

import argparse
import errno
import os
import socket
from pathlib import Path
from typing import Any

from m2fp_kd.cli.options import MOST_THREADS, add_artefact, add_threads, announce_demo
from m2fp_kd.command import number, teaching, whole_number

HELP = """examples:
  m2fp-kd serve                                        web page and API at http://127.0.0.1:8000/
  m2fp-kd serve -a artefacts/int8 --full m2fp/int8     with a switch between the student and the full M2FP
  m2fp-kd serve -a artefacts/int8 --web page           with a choice to parse on the visitor's own device
  m2fp-kd serve -a artefacts/int8 --host 0.0.0.0       for other machines; M2FP_KD_TOKEN requires a token of clients
  curl -F photo=@photo.jpg http://127.0.0.1:8000/api/parse

/docs documents the API; docs/guides covers containers, systemd (deploy.md) and several machines (scale.md).

Exit code: 0 stopped by SIGTERM or Ctrl-C, 2 the artefact, the engine or the port cannot be used."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("serve", help="the web page and the API", **teaching(HELP))
    add_artefact(command)
    command.add_argument("--full", metavar="ARTEFACT", type=Path, help="an exported M2FP, for the light-mode switch")
    words = "folder of `m2fp-kd export web`; the page then also parses on the visitor's device"
    command.add_argument("--web", metavar="DIR", type=Path, help=words)
    command.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for every address of this machine")
    command.add_argument("--port", type=whole_number(0, 65535), metavar="N", default=8000, help="0 for any free port")
    command.add_argument("--engine", metavar="NAME", help="as in parse")
    words = "photos parsed at the same time; default: one a core"
    command.add_argument("--streams", type=whole_number(1, MOST_THREADS), metavar="N", help=words)
    add_threads(command, "CPU threads of each stream (default: 1)")
    command.add_argument(
        "--token", help="token that every client must send; safer in the environment variable M2FP_KD_TOKEN"
    )
    option = command.add_argument
    words = "photos that may wait; further requests get status 503"
    option("--waiting", type=whole_number(1, 1000), metavar="N", help=words)
    words = "memory budget for photos, 18 bytes a pixel; further requests get status 503"
    option("--waiting-megabytes", type=number(0, 1e6), metavar="N", help=words)
    option("--megabytes", type=number(0, 2000), metavar="N", help="largest request, 10^6 bytes")
    option("--megapixels", type=number(0, 1000), metavar="N", help="largest photo, 10^6 pixels")
    words = "memory budget for uploads and untaken answers; beyond it the oldest upload gets status 503"
    option("--upload-megabytes", type=number(0, 1e6), metavar="N", help=words)
    words = "time from a request's first byte until its answer"
    option("--deadline", type=number(0, 3600), metavar="SECONDS", help=words)
    words = "time for requests in flight after SIGTERM"
    option("--grace", type=number(0, 3600), metavar="SECONDS", help=words)
    words = "limit for each client, where a photo counts as one for each megapixel; 0 for no limit"
    option("--requests-per-minute", type=whole_number(0), metavar="N", help=words)
    words = "host name of this server, repeatable; addresses and localhost are always allowed"
    option("--name", dest="names", action="append", default=[], metavar="NAME", help=words)
    words = "origin (https://example.org) whose pages may call the API, repeatable"
    option("--origin", dest="origins", action="append", default=[], metavar="URL", help=words)
    option("--log", choices=("text", "json"), default="text", help="format of the log, one line a request")
    command.set_defaults(run=run, extras="serve", threads=1)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    check_address(options.host, options.port)
    from m2fp_kd.serve.access_log import log_to_stderr
    from m2fp_kd.serve.server import serve
    from m2fp_kd.serve.settings import Settings
    from m2fp_kd.serve.web_page import device_files

    device = None if options.web is None else device_files(options.web)
    announce_demo(options.artefact)
    limits = ("waiting", "waiting_megabytes", "megabytes", "megapixels", "upload_megabytes", "deadline", "grace")
    given = {name: getattr(options, name) for name in (*limits, "requests_per_minute")}
    given["token"] = os.environ.get("M2FP_KD_TOKEN") if options.token is None else options.token
    given = {name: value for name, value in given.items() if value is not None}
    settings = Settings(**given, names=tuple(options.names), origins=tuple(options.origins))
    log_to_stderr(options.log == "json")
    address = (options.host, options.port)
    engine = (options.engine, options.streams, options.threads)
    serve(options.artefact, options.full, *address, *engine, settings, device)
    return 0


def check_address(host: str, port: int) -> None:
    """Check that a service can listen at an address, before it loads anything.

    Raises:
        ValueError: the host is no address of this machine.
        OSError: the port is in use, or needs other rights.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"--host {host}: {getattr(error, 'strerror', None) or 'no valid name'}") from error
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(address)
                listener.listen()
            except OSError as error:
                option = f"--port {port}" if error.errno in (errno.EADDRINUSE, errno.EACCES) else f"--host {host}"
                raise OSError(error.errno, error.strerror, option) from error
