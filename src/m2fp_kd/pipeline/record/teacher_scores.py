"""Keep a teacher's scores beside its cache, so that the runs of a sweep score a teacher on the same photos once."""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from m2fp_kd.data.layouts import Record, data_sha256
from m2fp_kd.evaluation.report.results import ModelResult
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.runtime.provenance import TeacherCard

log = logging.getLogger(__name__)

VERSION = 2
"""Version of the scoring code; increase it when the same teacher and photos would get other scores."""


def kept_scores(
    folder: Path, card: TeacherCard, records: list[Record], score: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return the scores of an earlier run with the same teacher, photos and labels, else call ``score``.

    Args:
        folder: folder of the teacher's cache, where the scores are kept as ``scores-HASH.json``.
        card: the teacher's card, with the hash of its weights, its views of a photo and its bridge.
        records: photos to score.
        score: returns the teacher's quality figures, named as in `ModelResult`.
    """
    content = json.dumps([VERSION, card.to_dict(), data_sha256(records)], sort_keys=True)
    path = folder / f"scores-{hashlib.sha256(content.encode()).hexdigest()[:12]}.json"
    if known := _read(path):
        log.info("reusing the teacher's scores on these photos from %s", path)
        return known
    scored = score()
    plain = asdict(ModelResult(**scored))
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps({name: plain[name] for name in scored}))
    except OSError as error:  # a failed write must not lose the run's report
        log.warning("could not save the teacher's scores for later runs: %s", error)
    return scored


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text())
        known = ModelResult.from_dict(kept)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # missing or damaged: the teacher is scored
        return {}
    return {name: getattr(known, name) for name in kept}
