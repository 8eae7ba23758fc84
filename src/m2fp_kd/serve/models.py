"""The models of a server, each with its queue."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from m2fp_kd import DEMO
from m2fp_kd.labels import LabelSet, Translation, find_translation, targets
from m2fp_kd.runtime.artefact import Card, find_model, load_checks
from m2fp_kd.runtime.files import file_sha256, megabytes, model_files, text_sha256
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.serve.settings import Settings
from m2fp_kd.serve.worker import Worker

TOGETHER = 4
"""Limit of photos in one call of a network. A call takes photos that already wait; it never waits for more."""

TITLES = {"fpn": "per-pixel parser", "m2fp": "mask classifier"}


@dataclass(frozen=True)
class Model:
    """A model that parses the photos of requests.

    Attributes:
        mode: name of the model in requests, "lite" or "full".
        facts: description of the model in the answer of /api/models.
        worker: queue and threads of the model.
        translations: label sets in which it can answer -> their translation; None for its own.
    """

    mode: str
    facts: dict[str, Any]
    worker: Worker
    translations: Mapping[str, Translation | None]


def load_model(mode: str, path: Path, streams: int, threads: int, engine: str | None, settings: Settings) -> Model:
    """Load an artefact and start its worker.

    Several streams of one thread parse more photos a second than one stream of several threads, but a single photo
    takes longer.

    Args:
        mode: name of the model in requests.
        path: model file or its folder.
        streams: photos that are parsed at the same time.
        threads: CPU threads of each stream.
        engine: as in `Parser.load`.
        settings: limits.

    Raises:
        FileNotFoundError, ArtefactError, EngineError: as in `Parser.load`.
    """
    parser = Parser.load(path, engine, threads, streams=streams)
    card, file = parser.card, find_model(path)
    together = min(TOGETHER, parser.engine.max_batch or TOGETHER)
    translations = {name: find_translation(card.labels, name) for name in targets(card.labels)}
    facts = facts_of(mode, file, card) | {
        "engine": parser.engine.name,
        "compute_precision": parser.engine.precision,
        "probabilities": "part_logits" in card.outputs,
        "label_sets": [_described(card.labels if one is None else one.target) for one in translations.values()],
    }
    worker = Worker([parser] * streams, settings.waiting, together, settings.waiting_megabytes)
    return Model(mode, facts, worker, translations)


def facts_of(mode: str, file: Path, card: Card) -> dict[str, Any]:
    """Describe an artefact as `/api/models` does, without the engine that runs it.

    Args:
        mode: name of the model in requests.
        file: its model file.
        card: its card.
    """
    score = load_checks(file).score
    return {
        "mode": mode,
        "id": text_sha256([file_sha256(one) for one in model_files(file)])[:16],
        "demo": file.parent.resolve() == DEMO.resolve(),
        "score": None if score is None else asdict(score),
        "title": ", ".join(filter(None, [card.backbone, TITLES[card.head], card.precision.upper()])),
        "backbone": card.backbone,
        "head": card.head,
        "precision": card.precision,
        "megabytes": round(megabytes(file), 2),
        "input": card.geometry["size"],
        "people": "persons" if card.people == "persons" else "regions",
        "licence": card.teacher.licence,
        "teacher": card.teacher.name,
        "label_set": _described(card.labels),
    }


def _described(labels: LabelSet) -> dict[str, Any]:
    return {
        "name": labels.name,
        "parts": list(labels.parts),
        "colours": [list(colour) for colour in labels.colours],
    }
