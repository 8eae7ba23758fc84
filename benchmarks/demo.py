"""Make the demo that comes with the package from a compressed run.

    python train.py stage=compress experiment=ppp data.root=DIR student.checkpoint=student.json teacher=none \\
        compress=int8_accurate name=demo
    python benchmarks/demo.py runs/demo --licence TEXT

The script takes the INT8 artefact of the run, adds licences to its card that the run does not know, such as that of the
backbone's starting weights, and writes `src/m2fp_kd/demo`. Commands and tests read what the demo is from its card.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

from m2fp_kd import DEMO
from m2fp_kd.runtime.artefact import find_model, load_card, load_checks, save_card, save_checks
from m2fp_kd.runtime.files import atomic_folder, megabytes

LARGEST = 5.0
"""Megabytes that the model may have, because every wheel holds it."""


def main() -> None:
    """Write the demo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--artefact", default="int8", help="name of the artefact (default: int8)")
    parser.add_argument("--licence", nargs="*", default=[], help="licences beside those that the card names")
    options = parser.parse_args()
    make_demo(options.run / "artefacts" / options.artefact, DEMO, options.licence)


def make_demo(artefact: Path, folder: Path, licences: list[str]) -> None:
    """Copy an artefact with its checks, and with more licences on its card.

    Args:
        artefact: model file or folder.
        folder: folder of the demo, which is replaced.
        licences: licences to add.

    Raises:
        ValueError: the artefact is too large, was not scored, failed a gate, or names no licence.
    """
    model = find_model(artefact)
    card, checks = load_card(model), load_checks(model)
    if (size := megabytes(model)) > LARGEST:
        raise ValueError(f"{model} has {size:.1f} MB, more than {LARGEST:g}; quantise it (compress=int8_accurate)")
    if failed := [hop.hop for hop in checks.parity if not hop.passed]:
        raise ValueError(f"{model} failed the gate of {', '.join(failed)}; try compress=int8_accurate")
    if checks.score is None:
        raise ValueError(f"{model} has no score; compress it again with this version (stage=compress)")
    licence = "; ".join(dict.fromkeys(filter(None, [card.teacher.licence, *licences])))
    if not licence:
        raise ValueError(f"{model} names no licence; add --licence TEXT")
    with atomic_folder(folder) as temporary:
        copy = Path(shutil.copy(model, temporary / model.name))
        save_card(copy, replace(card, teacher=replace(card.teacher, licence=licence)))
        save_checks(copy, checks)


if __name__ == "__main__":
    main()
