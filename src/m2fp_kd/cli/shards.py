"""`m2fp-kd shards`: tar shards of a data set, for trainings whose photos do not fit on a disk."""

import argparse
from pathlib import Path
from typing import Any

from m2fp_kd.command import number, print_result, teaching

HELP = """examples:
  m2fp-kd shards make data/cihp cihp-shards --labels cihp             train-000000.tar, val-000000.tar, ..., shards.json
  m2fp-kd shards make photos out --labels my_labels.yaml --cache cache/photos-teacher/0123456789ab
  m2fp-kd shards index 'other/*.tar' --labels cihp                    check another program's shards, write shards.json
  m2fp-kd train data=shards data.labels=cihp 'data.urls=cihp-shards/train-*.tar' 'data.val_urls=cihp-shards/val-*.tar'

`make` packs a folder in M2FP's layout. Without a Validation folder it holds out a tenth of the training photos, the
same as data=own. Photos and labels are checked first. With --cache the training photos get the teacher's targets from
a filled cache (`m2fp-kd cache`). The same call again continues where the last one stopped.

In a shard `beach.jpg` is a photo (a PNG photo is `beach.photo.png`), `beach.png` its part map; `beach.persons.png`,
`beach.instances.png` and `beach.targets` are optional. The package webdataset reads and writes the same shards. A
training needs shards.json beside them; copy it with them.

Exit code: 0 done, 2 stopped by an error, 130 interrupted."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "shards", help="tar shards of a data set that does not fit on a disk", **teaching(HELP)
    )
    actions = command.add_subparsers(required=True, metavar="ACTION")
    make = actions.add_parser("make", help="pack a folder in M2FP's layout", **teaching(HELP))
    make.add_argument("root", metavar="FOLDER", type=Path, help="folder in M2FP's layout, with Training")
    make.add_argument("output", metavar="DIR", type=Path, help="new folder of the shards")
    words = "size of a shard, 10^6 bytes (default: 100)"
    make.add_argument("--megabytes", metavar="N", type=number(most=1e6), default=100.0, help=words)
    words = "filled cache of a teacher: the folder with its targets.bin"
    make.add_argument("--cache", metavar="CACHE", type=Path, help=words)
    make.set_defaults(run=run_make, extras="train")
    index = actions.add_parser("index", help="check shards and write shards.json beside them", **teaching(HELP))
    index.add_argument("urls", metavar="URL", nargs="+", help="shards of one folder; {000..127} and * are patterns")
    index.set_defaults(run=run_index, extras="train")
    for action in (make, index):
        action.add_argument("--labels", metavar="SET", required=True, help="label set, by name or YAML file")


def run_make(options: argparse.Namespace) -> int:
    """Pack a folder."""
    from tqdm import tqdm

    from m2fp_kd.data.sharded.writing import check_folder, make, plan
    from m2fp_kd.data.teacher_cache import TeacherCache, stored_key
    from m2fp_kd.labels import load_label_set

    labels = load_label_set(options.labels)
    cache = TeacherCache(options.cache, stored_key(options.cache)) if options.cache else None
    planned = plan(options.root, options.megabytes, cache=cache)
    ready = len(check_folder(options.output, planned, labels).shards)
    size = f"{planned.photos:,} photos, {planned.megabytes:,.1f} MB in {len(planned.shards)} shards"
    print_result(size + (f"; {ready} shards are there already" if ready else ""))
    with tqdm(total=planned.photos, desc="packing", unit="photo", disable=None) as bar:
        index = make(planned, options.output, labels, cache, bar.update)
    total = sum(facts.bytes for facts in index.shards.values()) / 1e6
    print_result(f"{options.output}: {len(index.shards)} shards, {total:,.1f} MB")
    return 0


def run_index(options: argparse.Namespace) -> int:
    """Check shards and write their index."""
    from tqdm import tqdm

    from m2fp_kd.data.sharded.index import index_shards
    from m2fp_kd.labels import load_label_set

    with tqdm(desc="checking", unit="photo", disable=None) as bar:
        address, index = index_shards(options.urls, load_label_set(options.labels), bar.update)
    photos = sum(facts.photos for facts in index.shards.values())
    print_result(f"{address}: {len(index.shards)} shards, {photos:,} photos")
    return 0
