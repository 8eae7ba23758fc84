"""Log networks and exported files as W&B artefacts, and record which of them a run was made from.

A teacher is named ``teacher-HASH``, a student ``student-HASH``, by the hash of their weights, so that a run that uses
one finds the run that made it. The metadata of exported files (``int8-RUN`` and so on) hold the hashes of their
parents, like their cards. Online, a run also records its teacher and its starting student as inputs, which W&B cannot
do offline.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.runtime.artefact import find_model, load_card, load_checks
from m2fp_kd.runtime.provenance import Lineage, TeacherCard


def log_lineage(run: Any, report: RunReport, folder: Path, start: str | None) -> None:
    """Log the inputs and outputs of a run: networks, exported files, its report.

    Args:
        run: W&B run.
        report: report of the run.
        folder: folder of the run; W&B refers to its files and copies them only to upload them.
        start: hash of the student that the run started from, if any.
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
    """Record a network as an input of a run: as another run of the project logged it, else by its known facts.

    Args:
        run: W&B run.
        kind: "teacher" or "student".
        known: facts about the network; ``sha256`` at least.
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
    """Log a saved network; ``path`` is its network file, ``kind`` is "teacher" or "student"."""
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
    """Log files and folders by reference: copies that wait for an upload would double the size of the run."""
    import wandb

    artefact = wandb.Artifact(name, kind, metadata=metadata)
    for path in paths:
        if path.is_dir():
            artefact.add_dir(str(path), name=path.name, policy="immutable", skip_cache=True)
        else:
            artefact.add_file(str(path), policy="immutable", skip_cache=True)
    run.log_artifact(artefact)
