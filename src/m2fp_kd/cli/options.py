"""The artefact that the commands use."""

import argparse
import sys
from pathlib import Path

from m2fp_kd import DEMO


def add_artefact(command: argparse._ActionsContainer) -> None:
    """Add the option that names the artefact."""
    words = "model file (.onnx, .xml, .pt, .pt2) or its folder; default: the demo that comes with the package"
    command.add_argument("-a", "--artefact", metavar="ARTEFACT", type=Path, default=DEMO, help=words)


def announce_demo(artefact: Path) -> None:
    """Print what the artefact is if it is the demo."""
    if artefact == DEMO:
        from m2fp_kd.runtime.artefact import find_model, load_card

        card = load_card(find_model(DEMO))
        print(
            f"using the demo, trained on {card.data.name} ({card.teacher.licence}); "
            "`m2fp-kd card` describes it, -a ARTEFACT uses another",
            file=sys.stderr,
        )
