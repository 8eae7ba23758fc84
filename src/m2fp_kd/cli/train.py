"""`m2fp-kd train`: train, distil, quantise and check."""

import argparse
import runpy
import sys
from collections.abc import Sequence
from typing import Any

from m2fp_kd.command import DEBUG


def add(commands: Any) -> None:
    """Add the command; Hydra parses its arguments, `--help` included."""
    # No argument starts with a line break, so that argparse leaves all of them, options included, to Hydra.
    command = commands.add_parser("train", help="train, distil, quantise and check", add_help=False, prefix_chars="\n")
    command.add_argument("overrides", nargs="*")
    command.set_defaults(run=run, extras="train,compress,serve")


def run(options: argparse.Namespace) -> int:
    """Run Hydra's entry."""
    return run_train(options.overrides, options.debug)


def run_train(overrides: Sequence[str], debug: bool) -> int:
    """Run `m2fp_kd.train` with these overrides as the main module, which exits with its own code."""
    sys.argv[1:] = [*overrides, *([DEBUG] if debug else [])]
    # As `python -m` does: Lightning starts one more process for each further GPU by the main module's name.
    runpy.run_module("m2fp_kd.train", run_name="__main__", alter_sys=True)
    return 0
