"""What the commands share: how they look, and the artefact that they use."""

import argparse
import sys
from pathlib import Path
from typing import Any

DEMO = Path(__file__).parents[1] / "demo"
"""The artefact that comes with the package."""

EXAMPLES = """examples:
  m2fp-kd parse photo.jpg                              try it: part map and mosaic in parsed/
  m2fp-kd parse -a artefacts/int8 photos/ more/ -o out  folders, with all that is below them
  m2fp-kd parse -a artefacts/int8 photos/ --resume     go on where an earlier call stopped
  m2fp-kd parse -a artefacts/int8 photos/ --json > log  one JSON line per photo: parts, people, timings
  m2fp-kd serve                                        web page and API at http://127.0.0.1:8000/
  m2fp-kd serve -a artefacts/int8 --full m2fp/int8     with a switch between the student and the full M2FP
  m2fp-kd bench artefacts/fp32 artefacts/int8          which is the fastest on this machine
  m2fp-kd card artefacts/int8                          what the artefact is and how well it was checked

For NAME.jpg, parse writes NAME.png, whose pixel values are part indices (with the label set's palette, at the photo's
own upright size), and NAME_mosaic.jpg, the photo beside its parts with a legend. Folders keep their structure.
Exit code: 0 all done, 1 some photos could not be read (they are named, the others are done), 2 it could not go on."""

STYLE: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "epilog": EXAMPLES}


def add_artefact(command: argparse.ArgumentParser) -> None:
    """Add the option that names the artefact."""
    words = "model file (.onnx, .xml, .pt, .pt2) or its folder; default: a demo that knows drawn people only"
    command.add_argument("-a", "--artefact", metavar="ARTEFACT", type=Path, default=DEMO, help=words)


def say_demo(artefact: Path) -> None:
    """Say so where the artefact is the demo."""
    if artefact == DEMO:
        print(
            "the demo was trained on drawn people in six minutes and is poor on photos; -a ARTEFACT takes a real one, "
            "which train.py makes",
            file=sys.stderr,
        )
