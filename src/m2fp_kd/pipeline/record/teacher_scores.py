"""A teacher's scores, kept beside its cache: the runs of a sweep score the same teacher on the same photos once."""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from m2fp_kd.data.layouts import Record, data_sha256
from m2fp_kd.evaluation.metrics.reliability import Reliability
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.runtime.provenance import TeacherCard

log = logging.getLogger(__name__)

VERSION = 1
"""Raised whenever the same teacher and photos would get other scores."""


def kept_scores(
    folder: Path, card: TeacherCard, records: list[Record], score: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What ``score`` gives, or gave in an earlier run where teacher, photos and labels were the same.

    Args:
        folder: of the teacher's cache, where the scores are kept as ``scores-HASH.json``.
        card: the teacher's card, with the hash of its weights, its views of a photo and its bridge.
        records: the photos that are scored.
        score: gives the teacher's figures of quality, as `ModelResult` names them.
    """
    content = json.dumps([VERSION, card.to_dict(), data_sha256(records)], sort_keys=True)
    path = folder / f"scores-{hashlib.sha256(content.encode()).hexdigest()[:12]}.json"
    if path.is_file():
        log.info("the teacher's scores on these photos are known from %s", path)
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept | {"reliability": Reliability(**kept["reliability"]) if kept["reliability"] else None}
    scored = score()
    reliability = scored["reliability"]
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(scored | {"reliability": asdict(reliability) if reliability else None}))
    except OSError as error:  # a run's report is not lost for want of a place to keep this
        log.warning("the teacher's scores cannot be kept for later runs: %s", error)
    return scored
