"""`m2fp-kd card`: description and check results of an artefact, or the card of a pretrained backbone."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2fp_kd import DEMO
from m2fp_kd.command import teaching

if TYPE_CHECKING:
    from m2fp_kd.runtime.artefact import Card
    from m2fp_kd.runtime.checks import CheckResults

HELP = """examples:
  m2fp-kd card artefacts/int8          network, labels, teacher and its licence, parity, ms, versions
  m2fp-kd card artefacts/int8 --json   the whole card, for programs
  m2fp-kd card                         the demo's card
  m2fp-kd card backbone.safetensors    teacher, photos, licence and correlation of a pretrained backbone

Exit code: 0 printed, 2 the artefact is missing, or its card is missing or belongs to another file."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("card", help="network, labels, licence and checks of an artefact", **teaching(HELP))
    command.add_argument("artefact", metavar="ARTEFACT", type=Path, nargs="?", default=DEMO)
    command.add_argument("--json", action="store_true", help="print card and checks as JSON")
    command.set_defaults(run=run, extras="serve")


def run(options: argparse.Namespace) -> int:
    """Print the card."""
    if options.artefact.suffix == ".safetensors":
        return _print_backbone(options)
    from m2fp_kd.runtime.artefact import find_model, load_card, load_checks
    from m2fp_kd.runtime.files import megabytes

    model = find_model(options.artefact)
    card, checks = load_card(model), load_checks(model)
    if options.json:
        print(json.dumps(card.to_dict() | {"checks": checks.to_dict()}, indent=2))
        return 0
    _print_rows([("model", f"{model} ({megabytes(model):.1f} MB)"), *describe(card, checks)])
    return 0


def _print_backbone(options: argparse.Namespace) -> int:
    from m2fp_kd.runtime.files import megabytes, safetensors_metadata

    card = safetensors_metadata(options.artefact)
    if options.json:
        print(json.dumps(card, indent=2))
        return 0
    _print_rows([("model", f"{options.artefact} ({megabytes(options.artefact):.1f} MB)"), *sorted(card.items())])
    return 0


def _print_rows(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")


def describe(card: "Card", checks: "CheckResults") -> Iterator[tuple[str, str]]:
    """Yield the name and text of each line about an artefact; unknown facts are left out."""
    from m2fp_kd.evaluation.report.numbers import percent, verdict

    network = [card.precision, *([card.backbone] if card.backbone else []), f"{card.head} head"]
    network += [f"{card.parameters / 1e6:.2f} M parameters"] if card.parameters else []
    yield "network", ", ".join(network)
    fixed = "padded to a square" if card.geometry["fixed"] else "any shape"
    yield "photos", f"longest side {card.geometry['size']} pixels, {fixed}"
    yield "labels", f"{card.labels.name}: {', '.join(card.labels.parts)}"
    yield "people", "persons" if card.people == "persons" else "not separated (connected regions)"
    yield "outputs", ", ".join(card.outputs)
    sources = {
        "teacher": card.teacher.name,
        "its data": card.teacher.trained_on.name,
        "data": card.data.name,
        "labels by": card.data.labelled_by,
    }
    for name, value in (sources | {"licence": card.teacher.licence}).items():
        if value:
            yield name, value
    if score := checks.score:
        yield "mIoU", f"{percent(score.miou)} on {score.photos} ({score.count})"
        if score.boundary_iou is not None and score.boundary_f is not None:
            yield "borders", f"boundary IoU {percent(score.boundary_iou)}, boundary F {percent(score.boundary_f)}"
    for hop in checks.parity:
        yield "parity", verdict(hop)
    if card.float_layers:
        yield "left in fp32", ", ".join(card.float_layers)
    for engine, latency in checks.latency.items():
        known = [f"{latency.p50_ms:.1f} ms a photo"]
        known += [f"fp32 {latency.fp32_p50_ms:.1f}"] if latency.fp32_p50_ms is not None else []
        known += [f"threads: {latency.threads}"] if latency.threads else []
        yield f"in {engine}", ", ".join([*known, latency.precision, latency.cpu])
    if card.versions:
        yield "made with", ", ".join(f"{name} {number}" for name, number in card.versions.items())
    if card.git_commit:
        yield "commit", card.git_commit
    for name, digest in card.parents.items():
        yield f"from {name}", f"SHA-256 {digest[:16]}…"
