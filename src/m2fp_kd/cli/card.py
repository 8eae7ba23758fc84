"""`m2fp-kd card`: the card of an artefact."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2fp_kd.cli.options import DEMO
from m2fp_kd.command import teaching

if TYPE_CHECKING:
    from m2fp_kd.runtime.artefact import Card

HELP = """examples:
  m2fp-kd card artefacts/int8          network, labels, teacher and its licence, parity, ms, versions
  m2fp-kd card artefacts/int8 --json   the whole card, for programs
  m2fp-kd card                         the demo's card

Exit code: 0 printed, 2 the artefact is missing, or its card is missing or belongs to another file."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("card", help="network, labels, licence and checks of an artefact", **teaching(HELP))
    command.add_argument("artefact", metavar="ARTEFACT", type=Path, nargs="?", default=DEMO)
    command.add_argument("--json", action="store_true", help="print the whole card as JSON")
    command.set_defaults(run=run, extras="serve")


def run(options: argparse.Namespace) -> int:
    """Print the card."""
    from m2fp_kd.runtime.artefact import find_model, load_card
    from m2fp_kd.runtime.files import megabytes

    model = find_model(options.artefact)
    card = load_card(model)
    if options.json:
        print(json.dumps(card.to_dict(), indent=2))
        return 0
    rows = [("model", f"{model} ({megabytes(model):.1f} MB)"), *describe(card)]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")
    return 0


def describe(card: "Card") -> Iterator[tuple[str, str]]:
    """Yield the name and text of each line that describes the card; unknown facts are left out."""
    network = [card.precision, *([card.backbone] if card.backbone else []), f"{card.head} head"]
    network += [f"{card.sizes['parameters'] / 1e6:.2f} M parameters"] if "parameters" in card.sizes else []
    yield "network", ", ".join(network)
    fixed = "padded to a square" if card.geometry["fixed"] else "any shape"
    yield "photos", f"longest side {card.geometry['size']} pixels, {fixed}"
    yield "labels", f"{card.labels.name}: {', '.join(card.labels.parts)}"
    yield "people", "persons" if card.people == "persons" else "not told apart (connected regions)"
    yield "outputs", ", ".join(card.outputs)
    for name in ("name", "trained_on", "licence"):
        if value := card.teacher.get(name):
            yield f"teacher, {name.replace('_', ' ')}", str(value)
    if data := card.data.get("name"):
        yield "data", str(data)
    for hop, facts in card.parity.items():
        yield "parity", _parity(hop, facts)
    if card.float_layers:
        yield "left in fp32", ", ".join(card.float_layers)
    for engine, facts in card.latency.items():
        known = [f"{facts['p50_ms']:.1f} ms a photo"]
        known += [f"fp32 {facts['fp32_p50_ms']:.1f}"] if "fp32_p50_ms" in facts else []
        known += [f"threads: {facts['threads']}"] if facts.get("threads") else []
        known += [str(facts[name]) for name in ("precision", "cpu") if facts.get(name)]
        yield f"in {engine}", ", ".join(known)
    if card.versions:
        yield "made with", ", ".join(f"{name} {number}" for name, number in card.versions.items())
    if card.git_commit:
        yield "commit", card.git_commit
    for name, digest in card.parents.items():
        yield f"from {name}", f"SHA-256 {digest[:16]}…"


def _parity(hop: str, facts: dict[str, Any]) -> str:
    from m2fp_kd.evaluation.report.numbers import points

    text = f"{'passed' if facts['passed'] else 'FAILED'}  {hop}: {100 * facts['pixel_agreement']:.2f} % of pixels agree"
    if facts.get("miou_change") is not None:
        text += f", mIoU {points(facts['miou_change'], facts.get('miou_error'), 2)} points"
    if facts.get("worst_part_change") is not None:
        text += f", largest loss: {facts['worst_part']} {points(facts['worst_part_change'], decimals=2)}"
    return text
