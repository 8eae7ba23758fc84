"""The `m2fp-kd` command. A command imports what it needs when it runs, so that every help appears at once."""

from collections.abc import Sequence

from m2fp_kd.cli import autolabel, bench, cache, card, export, parse, serve, shards, train
from m2fp_kd.command import run_command
from m2fp_kd.evaluation.benchmark import command as benchmark
from m2fp_kd.evaluation.differences import command as diff
from m2fp_kd.evaluation.runs import command as runs

COMMANDS = (train, cache, parse, autolabel, serve, shards, bench, card, export, benchmark, runs, diff)

HELP = """examples:
  m2fp-kd parse photo.jpg                         part map and mosaic in parsed/
  m2fp-kd parse -a artefacts/int8 photos/ -o out  a folder and its subfolders
  m2fp-kd autolabel photos/ -o labelled           labels of photos, to correct and to train on
  m2fp-kd serve                                   web page and API at http://127.0.0.1:8000/
  m2fp-kd export web -o page                      a static page that parses photos in the visitor's browser
  m2fp-kd bench artefacts/fp32 artefacts/int8     the fastest artefact and engine on this machine
  m2fp-kd card artefacts/int8                     network, labels, licence and checks of an artefact
  m2fp-kd train backbone=mobilenetv3              distil, quantise and check on the sample
  m2fp-kd cache --shard 2/64 teacher=cached ...   the second of 64 shares of a teacher's cache

`m2fp-kd COMMAND -h` explains a command and shows more examples.

Exit code: 0 done, 1 done in part (what failed is named), 2 stopped by an error, 130 interrupted, 141 the reader of the
output closed the pipe."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_command(COMMANDS, arguments, HELP)
