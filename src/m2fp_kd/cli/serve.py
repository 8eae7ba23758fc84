"""`m2fp-kd serve`: the web page and the API."""

import argparse
import logging
import os
from pathlib import Path
from typing import Any

from m2fp_kd.cli.options import add_artefact, say_demo
from m2fp_kd.command import teaching

HELP = """examples:
  m2fp-kd serve                                        web page and API at http://127.0.0.1:8000/
  m2fp-kd serve -a artefacts/int8 --full m2fp/int8     with a switch between the student and the full M2FP
  m2fp-kd serve -a artefacts/int8 --host 0.0.0.0       for other machines; set M2FP_KD_TOKEN to ask for a token
  curl -F photo=@photo.jpg http://127.0.0.1:8000/api/parse

/docs is the API's documentation; docs/deployment.md tells of containers, systemd and several machines.

Exit code: 0 stopped by SIGTERM or Ctrl-C, 2 it could not begin: an artefact or engine that cannot be used, a port that
is taken."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("serve", help="the web page and the API", **teaching(HELP))
    add_artefact(command)
    command.add_argument("--full", metavar="ARTEFACT", type=Path, help="an exported M2FP, for the light-mode switch")
    command.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for every address of this machine")
    command.add_argument("--port", type=int, default=8000)
    command.add_argument("--engine", metavar="NAME", help="as in parse")
    command.add_argument("--streams", type=int, metavar="N", help="photos parsed at a time; default: one per core")
    command.add_argument("--threads", type=int, metavar="N", default=1, help="CPU threads of each stream")
    command.add_argument("--token", help="ask every client for it; better in the environment: M2FP_KD_TOKEN")
    command.add_argument("--waiting", type=int, metavar="N", help="photos that may wait; more are told to come later")
    command.add_argument(
        "--waiting-megabytes", type=float, metavar="N", help="of memory for photos, 18 bytes a pixel; likewise"
    )
    command.add_argument("--megabytes", type=float, help="largest request")
    command.add_argument("--requests-per-minute", type=int, metavar="N", help="of one client; 0 for no limit")
    command.set_defaults(run=run, extras="serve")


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from m2fp_kd.serve.server import serve
    from m2fp_kd.serve.settings import Settings

    say_demo(options.artefact)
    given = {"waiting": options.waiting, "waiting_megabytes": options.waiting_megabytes}
    given |= {"megabytes": options.megabytes}
    given |= {"requests_per_minute": options.requests_per_minute}
    given |= {"token": options.token or os.environ.get("M2FP_KD_TOKEN")}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    address = (options.host, options.port)
    serve(options.artefact, options.full, *address, options.engine, options.streams, options.threads, settings)
    return 0
