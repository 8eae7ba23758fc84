"""`m2fp-kd serve`: the web page and the API."""

import argparse
import logging
import os
from pathlib import Path
from typing import Any

from m2fp_kd.cli.options import add_artefact, announce_demo
from m2fp_kd.command import teaching

HELP = """examples:
  m2fp-kd serve                                        web page and API at http://127.0.0.1:8000/
  m2fp-kd serve -a artefacts/int8 --full m2fp/int8     with a switch between the student and the full M2FP
  m2fp-kd serve -a artefacts/int8 --host 0.0.0.0       for other machines; M2FP_KD_TOKEN requires a token of clients
  curl -F photo=@photo.jpg http://127.0.0.1:8000/api/parse

/docs documents the API; docs/guides covers containers, systemd (deploy.md) and several machines (scale.md).

Exit code: 0 stopped by SIGTERM or Ctrl-C, 2 the artefact, the engine or the port cannot be used."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("serve", help="the web page and the API", **teaching(HELP))
    add_artefact(command)
    command.add_argument("--full", metavar="ARTEFACT", type=Path, help="an exported M2FP, for the light-mode switch")
    command.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for every address of this machine")
    command.add_argument("--port", type=int, default=8000)
    command.add_argument("--engine", metavar="NAME", help="as in parse")
    command.add_argument("--streams", type=int, metavar="N", help="photos parsed at the same time; default: one a core")
    command.add_argument("--threads", type=int, metavar="N", default=1, help="CPU threads of each stream (default: 1)")
    command.add_argument(
        "--token", help="token that every client must send; safer in the environment variable M2FP_KD_TOKEN"
    )
    option = command.add_argument
    option("--waiting", type=int, metavar="N", help="photos that may wait; further requests get status 503")
    option("--waiting-megabytes", type=float, metavar="N", help="memory budget for photos, 18 bytes a pixel; likewise")
    option("--megabytes", type=float, metavar="N", help="largest request, 10^6 bytes")
    option("--requests-per-minute", type=int, metavar="N", help="limit for each client; 0 for no limit")
    command.set_defaults(run=run, extras="serve")


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from m2fp_kd.serve.server import serve
    from m2fp_kd.serve.settings import Settings

    announce_demo(options.artefact)
    limits = ("waiting", "waiting_megabytes", "megabytes", "requests_per_minute")
    given = {name: getattr(options, name) for name in limits}
    given["token"] = options.token or os.environ.get("M2FP_KD_TOKEN")
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    address = (options.host, options.port)
    serve(options.artefact, options.full, *address, options.engine, options.streams, options.threads, settings)
    return 0
