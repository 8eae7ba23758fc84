"""What distilling or shrinking mended and broke: ``python -m m2fp_kd.evaluation.differences BEFORE AFTER --data DIR``.

Two artefacts parse the held-out photos of a data set in M2FP's layout. Prints every part's IoU; ``--out`` gets
``differences.html`` with the photos that changed most.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from m2fp_kd.data.layouts import held_out_records
from m2fp_kd.data.reading import read_record
from m2fp_kd.evaluation.differences.compare import PhotoChange, differences
from m2fp_kd.evaluation.differences.page import Shown, part_rows, render
from m2fp_kd.evaluation.report.tables import as_markdown
from m2fp_kd.runtime.artefact import ArtefactError
from m2fp_kd.runtime.engines import EngineError
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.runtime.geometry import PhotoError
from m2fp_kd.runtime.parser import Parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, print the table, write the page."""
    command = argparse.ArgumentParser(
        "python -m m2fp_kd.evaluation.differences",
        description="Which parts and photos the second artefact mended, and which it broke.",
    )
    add = command.add_argument
    add("before", type=Path, help="artefact, for instance of the labels-only twin")
    add("after", type=Path, help="artefact, for instance of the distilled student")
    add("--data", type=Path, required=True, help="labelled photos in M2FP's layout; its held-out split is used")
    add("--limit", type=int, help="compare on so many of them; default: all")
    add("--photos", type=int, default=8, help="to show of those that were mended and of those that were broken")
    add("--names", nargs=2, default=("before", "after"), metavar="NAME", help="what to call the two in the page")
    add("--out", type=Path, help="folder for differences.html")
    options = command.parse_args(arguments)
    try:
        _run(options)
    except (FileNotFoundError, ArtefactError, EngineError, PhotoError, ValueError) as error:
        command.error(str(error))


def _run(options: argparse.Namespace) -> None:
    records = held_out_records(options.data, options.limit)
    parsers = [Parser.load(path, keep=False) for path in (options.before, options.after)]
    labels = parsers[0].labels
    if parsers[1].labels.parts != labels.parts:
        raise ValueError(f"{options.before} knows '{labels.name}' and {options.after} '{parsers[1].labels.name}'")
    photos = (read_record(record, labels) for record in tqdm(records, unit="photo", leave=False, disable=None))
    found = differences(parsers[0].part_map, parsers[1].part_map, photos, labels)
    print(as_markdown(list(part_rows(found, found.before.shares(labels)))))
    if options.out is None:
        return

    def shown(change: PhotoChange) -> Shown:
        photo = read_record(records[change.index], labels)
        return Shown(photo, change.gain, parsers[0].part_map(photo.image), parsers[1].part_map(photo.image))

    mended, broken = found.most_mended(options.photos), found.most_broken(options.photos)
    page = render(found, tuple(options.names), list(map(shown, mended)), list(map(shown, broken)), labels)
    with atomic_path(options.out / "differences.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(f"pictures in {options.out / 'differences.html'}")


if __name__ == "__main__":
    main()
