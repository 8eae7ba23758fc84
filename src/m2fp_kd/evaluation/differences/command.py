"""`m2fp-kd diff`: the parts and photos on which one artefact is better or worse than another."""

import argparse
from pathlib import Path
from typing import Any

from m2fp_kd.command import teaching, whole_number

HELP = """examples:
  m2fp-kd diff twin/int8 student/int8 --data DIR              IoU of each part before and after
  m2fp-kd diff runs/A/artefacts/fp32 runs/A/artefacts/int8 --data DIR --out out    and a page with photos

Both artefacts parse the held-out photos of a data set in M2FP's layout. --out gets differences.html with the photos
that changed most.

Exit code: 0 compared, 2 stopped by an error, 130 interrupted."""


def add(commands: Any) -> None:
    """Add the command."""
    words = "parts and photos on which one artefact is better or worse than another"
    command = commands.add_parser("diff", help=words, **teaching(HELP))
    option = command.add_argument
    option("before", metavar="BEFORE", type=Path, help="artefact, for instance of the labels-only twin")
    option("after", metavar="AFTER", type=Path, help="artefact, for instance of the distilled student")
    words = "labelled photos in M2FP's layout; the held-out split is used"
    option("--data", metavar="DIR", type=Path, required=True, help=words)
    option("--limit", type=whole_number(1), metavar="N", help="compare on at most N photos; default: all")
    words = "show N improved and N worsened photos (default: 8)"
    option("--photos", type=whole_number(0), metavar="N", default=8, help=words)
    option("--names", nargs=2, default=("before", "after"), metavar="NAME", help="names of the two on the page")
    option("--out", metavar="DIR", type=Path, help="folder for differences.html")
    command.set_defaults(run=run, extras="serve,train")


def run(options: argparse.Namespace) -> int:
    """Compare, print the table, write the page."""
    from m2fp_kd.evaluation.differences.artefacts import compare_artefacts
    from m2fp_kd.evaluation.report.tables import as_markdown
    from m2fp_kd.runtime.files import atomic_path

    compared = compare_artefacts(options.before, options.after, options.data, options.limit)
    print(as_markdown(compared.rows))
    if options.out is not None:
        with atomic_path(options.out / "differences.html") as temporary:
            temporary.write_text(compared.page(options.names, options.photos), encoding="utf-8")
        print(f"pictures in {options.out / 'differences.html'}")
    return 0
