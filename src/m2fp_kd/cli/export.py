"""`m2fp-kd export`: an artefact as a model repository of another server, or as a web page that needs none."""

import argparse
from pathlib import Path
from typing import Any

from m2fp_kd.cli.options import add_artefact
from m2fp_kd.command import teaching

HELP = """examples:
  m2fp-kd export triton -a artefacts/int8 -o models                  models/parser/config.pbtxt and 1/model.onnx
  m2fp-kd export openvino-model-server -a artefacts/int8 -o models   models/config.json and parser/1/
  m2fp-kd export web -a artefacts/int8 -o page                       a page that parses photos in the browser
  m2fp-kd export web -o page --runtime FILE FILE                     the same without a network
  python -m http.server --directory page                             then open http://localhost:8000/

docs/guides/deploy.md explains how to start the servers and describes the inputs and outputs, docs/guides/browser.md the
page. For the page npm downloads ONNX Runtime Web once (33 MB), which is then kept in ~/.cache/m2fp-kd.

Exit code: 0 written, 2 the artefact has another format or cannot be used, the folder cannot be written, or (web) it is
not empty or npm cannot download."""

SERVERS = ("triton", "openvino-model-server")
WEB = "web"


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "export", help="a model repository for Triton or OpenVINO Model Server, or a web page", **teaching(HELP)
    )
    command.add_argument("target", choices=(*SERVERS, WEB))
    add_artefact(command)
    words = "folder to write to; web: a new or empty one"
    command.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help=words)
    words = "web: archives from `npm pack`, see docs/guides/browser.md; default: let npm download them"
    command.add_argument("--runtime", metavar="FILE", type=Path, nargs="+", default=[], help=words)
    command.set_defaults(run=run, extras="serve")


def run(options: argparse.Namespace) -> int:
    """Write the repository or the page."""
    if options.target == WEB:
        from m2fp_kd.serve.web_page import export as export_page

        export_page(options.artefact, options.output, options.runtime)
    elif options.runtime:
        raise ValueError(f"--runtime belongs to export web, not to export {options.target}")
    else:
        from m2fp_kd.serve.triton import export

        export(options.artefact, options.target, options.output)
    print(options.output)
    return 0
