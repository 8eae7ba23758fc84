"""The artefact that the commands use."""

import argparse
import sys
from pathlib import Path

DEMO = Path(__file__).parents[1] / "demo"
"""Artefact that comes with the package."""


def add_artefact(command: argparse.ArgumentParser) -> None:
    """Add the option that names the artefact."""
    words = "model file (.onnx, .xml, .pt, .pt2) or its folder; default: a demo trained on drawn people"
    command.add_argument("-a", "--artefact", metavar="ARTEFACT", type=Path, default=DEMO, help=words)


def warn_of_demo(artefact: Path) -> None:
    """Print a note where the artefact is the demo."""
    if artefact == DEMO:
        print(
            "this is the demo, trained for six minutes on drawn people: it parses photos poorly; "
            "-a ARTEFACT uses one that m2fp-kd train made",
            file=sys.stderr,
        )
