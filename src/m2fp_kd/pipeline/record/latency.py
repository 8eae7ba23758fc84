"""What a photo takes in every engine, measured at the end of a run and written into the artefacts' cards."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from m2fp_kd.compress.export.graph import graph_sha256
from m2fp_kd.evaluation.speed.measure import Measurement, measure
from m2fp_kd.runtime.artefact import Card, load_card, save_card
from m2fp_kd.runtime.engines import engines_for

SECONDS = 2.0
"""Of timed calls in an engine that is not the preferred one, so that the end of a run stays quick."""


def write_latency(path: Path, photos: Sequence[Path], threads: int, made: Iterable[Path]) -> Measurement:
    """Measure an artefact in every installed engine that runs it and write the times into its card.

    An INT8 artefact's card also gets those of the fp32 export that it was made from, out of that one's card.

    Args:
        path: its model file.
        photos: what is parsed.
        threads: CPU threads.
        made: the run's artefacts; those before this one have their times.

    Returns:
        What was measured in the engine that the runtime prefers.

    Raises:
        ProcessError: an engine failed.
    """
    preferred, *others = engines_for(path)
    timed = measure(path, photos, threads=threads, engine=preferred)
    rest = [measure(path, photos, threads=threads, engine=engine, seconds=SECONDS) for engine in others]
    card = load_card(path)
    fp32 = _fp32_latency(card, made)
    latency = {str(one.engine): _facts(one) | fp32.get(str(one.engine), {}) for one in (timed, *rest)}
    save_card(path, replace(card, latency=latency))
    return timed


def _facts(timed: Measurement) -> dict[str, Any]:
    kept = {name: getattr(timed, name) for name in ("p50_ms", "p95_ms", "threads", "precision")}
    return kept | {"cpu": timed.cpu["model"]}


def _fp32_latency(card: Card, made: Iterable[Path]) -> dict[str, dict[str, float]]:
    """Engine -> `fp32_p50_ms` of the fp32 export that an artefact was made from; empty for an fp32 one."""
    wanted = card.parents.get("fp32 graph")
    exports = (path for path in made if path.suffix == ".onnx" and wanted is not None)
    parents = [path for path in exports if graph_sha256(path) == wanted]
    latency = load_card(parents[0]).latency if parents else {}
    return {engine: {"fp32_p50_ms": facts["p50_ms"]} for engine, facts in latency.items()}
