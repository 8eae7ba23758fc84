"""Networks and exported files as W&B artefacts, and which of them a run was made from.

A teacher is ``teacher-HASH``, a student ``student-HASH`` (of their weights), so that a run which uses one finds the run
that made it. Exported files, ``int8-RUN`` and so on, name their parents' hashes in their metadata, as their cards do.
Online a run also names its teacher, and the student that it began with, as its inputs; offline W&B cannot record that.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.runtime.artefact import find_model, load_card, load_checks
from m2fp_kd.runtime.provenance import Lineage, TeacherCard


def log_lineage(run: Any, report: RunReport, folder: Path, start: str | None) -> None:
    """Log what a run was made from and what it made: networks, exported files, its report.

    Args:
        run: of W&B.
        report: of the run.
        folder: the run's folder; W&B refers to its files and copies them only when it uploads them.
        start: hash of the student that the run began with, if any.
    """
    teacher = report.lineage.teacher
    if teacher.sha256:
        use_network(run, "teacher", teacher)
    if start and start != teacher.sha256:  # an M2FP that is compressed is its own teacher
        use_network(run, "student", TeacherCard(sha256=start))
    for name in ("student", *report.lineage.training_steps):
        if (path := folder / f"{name}.json").is_file():
            log_network(run, "student", path, report.lineage)
    for name in report.models:
        artefact = folder / "artefacts" / name.removeprefix("student_")
        if name != "teacher":
            _log(run, f"{artefact.name}-{run.id}", "artefact", [artefact], _of_model(find_model(artefact)))
    written = [folder / name for name in ("report.json", "report.html", "pictures")]
    _log(run, f"report-{run.id}", "report", [path for path in written if path.exists()], {})


def use_network(run: Any, kind: str, known: TeacherCard) -> None:
    """Make a network one of a run's inputs: as another run of the project logged it, else by what is known of it.

    Args:
        run: of W&B.
        kind: "teacher" or "student".
        known: what is known about it; ``sha256`` at least.
    """
    import wandb

    if run.offline:
        return
    name = _name(kind, str(known.sha256))
    logged = f"{run.entity}/{run.project}/{name}:latest"
    if wandb.Api().artifact_exists(logged):
        run.use_artifact(logged)
        return
    card = wandb.Artifact(name, kind, metadata=known.to_dict())
    with card.new_file("card.json") as file:
        json.dump(known.to_dict(), file)
    run.use_artifact(card)


def log_network(run: Any, kind: str, path: Path, lineage: Lineage) -> None:
    """Log a saved network; ``path`` is its JSON, ``kind`` "teacher" or "student"."""
    weights = json.loads(path.read_text())["weights"]
    own = replace(lineage, teacher=_in_short(lineage.teacher), parent=None).to_dict()
    metadata = own | {"sha256": weights["sha256"], "started from": lineage.parent and lineage.parent.sha256}
    _log(run, _name(kind, weights["sha256"]), kind, [path, path.parent / weights["file"]], metadata)


def _of_model(model: Path) -> dict[str, Any]:
    """Return an exported file's card in short, with the engine and the precision that it was checked in."""
    card, checks = load_card(model), load_checks(model)
    plain = card.to_dict() | {"teacher": _in_short(card.teacher).to_dict()}
    shown = ("precision", "data", "parameters", "parents", "git_commit", "teacher")
    return {key: plain[key] for key in shown} | {"engine": checks.engine, "engine_precision": checks.precision}


def _in_short(teacher: TeacherCard) -> TeacherCard:
    return TeacherCard(teacher.name, teacher.licence, teacher.sha256)


def _name(kind: str, sha256: str) -> str:
    return f"{kind}-{sha256[:12]}"


def _log(run: Any, name: str, kind: str, paths: list[Path], metadata: dict[str, Any]) -> None:
    """Log files and folders as they lie: a copy of each until an upload, which may never be, would double the run."""
    import wandb

    artefact = wandb.Artifact(name, kind, metadata=metadata)
    for path in paths:
        if path.is_dir():
            artefact.add_dir(str(path), name=path.name, policy="immutable", skip_cache=True)
        else:
            artefact.add_file(str(path), policy="immutable", skip_cache=True)
    run.log_artifact(artefact)
