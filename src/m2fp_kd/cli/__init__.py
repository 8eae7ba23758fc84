"""The `m2fp-kd` command. Nothing heavy is imported before there is work."""

import argparse
import sys
from collections.abc import Sequence

from m2fp_kd.cli import bench, card, export, parse, serve
from m2fp_kd.cli.options import STYLE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command = argparse.ArgumentParser(prog="m2fp-kd", description="Human parsing on a CPU.", **STYLE)
    commands = command.add_subparsers(required=True, metavar="COMMAND")
    for one in (parse, serve, bench, card, export):
        one.add(commands)
    options = command.parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("\nstopped; what is written is whole, --resume goes on from here", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"m2fp-kd: {error}", file=sys.stderr)
        return 2
