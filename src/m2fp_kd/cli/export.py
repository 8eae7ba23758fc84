"""`m2fp-kd export`: an artefact as a model repository of another server."""

import argparse
from pathlib import Path
from typing import Any

from m2fp_kd.cli.options import add_artefact
from m2fp_kd.command import teaching

HELP = """examples:
  m2fp-kd export triton -a artefacts/int8 -o models                  models/parser/config.pbtxt and 1/model.onnx
  m2fp-kd export openvino-model-server -a artefacts/int8 -o models   models/config.json and parser/1/

docs/guides/deploy.md explains how to start the servers and describes the inputs and outputs.

Exit code: 0 written, 2 the artefact has another format or cannot be used, or the folder cannot be written."""

SERVERS = ("triton", "openvino-model-server")


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "export", help="a model repository for Triton or OpenVINO Model Server", **teaching(HELP)
    )
    command.add_argument("server", choices=SERVERS)
    add_artefact(command)
    command.add_argument(
        "-o", "--output", metavar="DIR", type=Path, required=True, help="folder to write the repository to"
    )
    command.set_defaults(run=run, extras="serve")


def run(options: argparse.Namespace) -> int:
    """Write the repository."""
    from m2fp_kd.serve.triton import export

    export(options.artefact, options.server, options.output)
    print(options.output)
    return 0
