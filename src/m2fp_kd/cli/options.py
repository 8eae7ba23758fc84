"""Options that several commands have."""

import argparse
import sys
from pathlib import Path

from m2fp_kd import DEMO
from m2fp_kd.command import number, whole_number
from m2fp_kd.shards import Shard

MOST_THREADS = 1024
"""Most threads or streams that an option takes, more than any machine's cores."""


def add_artefact(command: argparse._ActionsContainer) -> None:
    """Add the option that names the artefact."""
    kinds = ".onnx, .xml, .pt, .pt2, .pte, .tflite, .param"
    words = f"model file ({kinds}) or its folder; default: the demo that comes with the package"
    command.add_argument("-a", "--artefact", metavar="ARTEFACT", type=Path, default=DEMO, help=words)


def add_threads(command: argparse._ActionsContainer, words: str = "CPU threads; default: the engine's choice") -> None:
    """Add the option that limits the threads."""
    command.add_argument("--threads", type=whole_number(1, MOST_THREADS), metavar="N", help=words)


def add_megapixels(command: argparse._ActionsContainer) -> None:
    """Add the option that limits the size of a photo."""
    words = "largest photo, 10^6 pixels (default: 256); a photo takes up to 18 bytes of memory a pixel"
    command.add_argument("--megapixels", type=number(0, 4000), metavar="N", default=256.0, help=words)


def add_shard(command: argparse._ActionsContainer, words: str) -> None:
    """Add the option that chooses one of several shares of the photos."""
    command.add_argument("--shard", type=_shard, metavar="I/N", help=words)


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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
