"""`m2fp-kd cache`: fill a teacher's cache, on one machine or a share on each of several."""

import argparse
from typing import Any

from m2fp_kd.cli.options import add_shard
from m2fp_kd.cli.train import run_train
from m2fp_kd.command import teaching

HELP = """examples:
  m2fp-kd cache teacher=cached teacher.checkpoint=pytorch_model.pt data=cihp data.root=DIR
  m2fp-kd cache --shard 2/64 teacher=cached teacher.checkpoint=FILE teacher.cache=CACHE data=cihp data.root=DIR

It is `m2fp-kd train stage=cache`, and takes the overrides of the training that will read the cache, of which it uses
data, data.root, data.size, teacher.checkpoint, teacher.size, teacher.cache and a few others; `m2fp-kd train -h` lists
them. The teacher answers for each training photo and for its mirror image. The folder is the one that the last line
names, below teacher.cache=CACHE (default: in cache/ of the present folder); trainings with the same settings find it.

With --shard each machine writes a file of its own, such as targets-2-of-64.bin, and trainings read all files. A photo's
share follows from its name. Processes that torchrun starts share the photos by themselves. A stopped call continues
with the same command and loses one photo at most.

Exit code: 0 done, 2 stopped by an error, 128 + the number of a signal that stopped it."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("cache", help="fill a teacher's cache, or a share of it", **teaching(HELP))
    add_shard(command, "fill share I of N only, such as 2/64: every photo is in one of them")
    words = "settings of the training that will read the cache"
    command.add_argument("overrides", metavar="OVERRIDE", nargs="+", help=words)
    command.set_defaults(run=run, extras="train,compress,serve")


def run(options: argparse.Namespace) -> int:
    """Run the training's stage of this name."""
    shard = [f"teacher.shard={options.shard}"] if options.shard else []
    return run_train([*options.overrides, "stage=cache", *shard], options.debug)
