"""Latency of the artefacts in every engine, measured at the end of a run and written into their check results."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from m2fp_kd.evaluation.speed.measure import Measurement, measure
from m2fp_kd.runtime.artefact import load_card, load_checks, save_checks
from m2fp_kd.runtime.checks import Latency
from m2fp_kd.runtime.engines import engines_for
from m2fp_kd.runtime.files import file_sha256

SECONDS = 2.0
"""Duration of the timed calls in each engine but the preferred one; it keeps the end of a run short."""


def write_latency(path: Path, photos: Sequence[Path], threads: int | None, made: Iterable[Path]) -> Measurement:
    """Measure an artefact in every installed engine that runs it and write the times into its `checks.json`.

    An INT8 artefact also gets the times of the fp32 export that it was made from.

    Args:
        path: model file of the artefact.
        photos: photos to parse.
        threads: CPU threads; None leaves it to the engine.
        made: artefacts of the run; those before this one have been measured.

    Returns:
        The measurement in the engine that the runtime prefers.

    Raises:
        ProcessError: an engine failed.
    """
    preferred, *others = engines_for(path)
    timed = measure(path, photos, threads=threads, engine=preferred)
    rest = [measure(path, photos, threads=threads, engine=engine, seconds=SECONDS) for engine in others]
    fp32 = _fp32_latency(path, made)
    latency = {str(one.engine): _latency(one, fp32.get(str(one.engine))) for one in (timed, *rest)}
    save_checks(path, replace(load_checks(path), latency=latency))
    return timed


def _latency(timed: Measurement, fp32: Latency | None) -> Latency:
    return Latency(
        p50_ms=timed.p50_ms,
        p95_ms=timed.p95_ms,
        threads=timed.threads,
        precision=str(timed.precision),
        cpu=timed.cpu["model"],
        fp32_p50_ms=fp32.p50_ms if fp32 else None,
    )


def _fp32_latency(path: Path, made: Iterable[Path]) -> dict[str, Latency]:
    """Return the latency, by engine, of the fp32 export that an artefact was made from; empty for an fp32 one."""
    wanted = load_card(path).parents.get("fp32")
    exports = (export for export in made if export.suffix == ".onnx" and wanted is not None)
    parents = [export for export in exports if file_sha256(export) == wanted]
    return load_checks(parents[0]).latency if parents else {}
