"""`m2fp-kd export`: an artefact laid out for another server."""

import argparse
from pathlib import Path
from typing import Any

from m2fp_kd.cli.options import STYLE, add_artefact

SERVERS = ("triton", "openvino-model-server")


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("export", help="a model repository for Triton or OpenVINO Model Server", **STYLE)
    command.add_argument("server", choices=SERVERS)
    add_artefact(command)
    command.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="folder of the repository")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the repository."""
    from m2fp_kd.serve.repository import export

    export(options.artefact, options.server, options.output)
    print(options.output)
    return 0
