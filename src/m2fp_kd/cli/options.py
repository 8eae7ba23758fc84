"""What the commands share: how their help looks, and the artefact that they use."""

import argparse
import sys
from pathlib import Path

DEMO = Path(__file__).parents[1] / "demo"
"""The artefact that comes with the package."""


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
