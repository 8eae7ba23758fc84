"""The `m2fp-kd` command. Nothing heavy is imported before there is work."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from m2fp_kd.cli import bench, card, export, parse, serve
from m2fp_kd.cli.options import teaching

HELP = """examples:
  m2fp-kd parse photo.jpg                         try it: part map and mosaic in parsed/
  m2fp-kd parse -a artefacts/int8 photos/ -o out  a folder, with all that is below it
  m2fp-kd serve                                   web page and API at http://127.0.0.1:8000/
  m2fp-kd bench artefacts/fp32 artefacts/int8     which is the fastest on this machine
  m2fp-kd card artefacts/int8                     what the artefact is and how well it was checked

`m2fp-kd COMMAND -h` explains a command and shows more examples.

Exit code: 0 all done, 1 some photos or videos could not be read (they are named, the others are done), 2 it could not
begin or go on, 130 interrupted, 141 nobody reads what it prints any more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command = argparse.ArgumentParser(prog="m2fp-kd", description="Human parsing on a CPU.", **teaching(HELP))
    commands = command.add_subparsers(required=True, metavar="COMMAND")
    for one in (parse, serve, bench, card, export):
        one.add(commands)
    options = command.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _say_warning
        try:
            code = options.run(options)
            sys.stdout.flush()
            return code
        except KeyboardInterrupt:
            print("\nstopped", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # Whoever reads, `head` say, has seen enough. What is still buffered must not be written when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except (OSError, ValueError) as error:
            print(f"m2fp-kd: {_one_line(error)}", file=sys.stderr)
            return 2


def _one_line(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    return " ".join(text.split())


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"m2fp-kd: {message}", file=sys.stderr)
