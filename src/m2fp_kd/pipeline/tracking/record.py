"""Log the results of a run to Weights & Biases."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from m2fp_kd.distill.training.loggers import tolerated
from m2fp_kd.evaluation.report.pictures import Picture
from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.pipeline.tracking.lineage import log_lineage, log_network, use_network
from m2fp_kd.pipeline.tracking.results import log_results
from m2fp_kd.runtime.provenance import Lineage, TeacherCard


def log_report(
    loggers: Sequence[Any], report: RunReport, pictures: Sequence[Picture], folder: Path, start: str | None
) -> None:
    """Log a report to every W&B logger among ``loggers``; an error of W&B becomes a warning.

    Args:
        loggers: any Lightning loggers.
        report: report of the run.
        pictures: photos with the models' part maps.
        folder: folder of the run.
        start: hash of the student that the run started from, if any.
    """
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            with tolerated("the run is complete in its own folder"):
                log_results(logger.experiment, report, pictures)
                log_lineage(logger.experiment, report, folder, start)


def log_teacher(loggers: Sequence[Any], path: Path, lineage: Lineage) -> None:
    """Log a trained teacher as an artefact that the runs of its students can use.

    Args:
        loggers: loggers of its training.
        path: network file of the teacher.
        lineage: lineage of the teacher.
    """
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            with tolerated("the teacher is complete in its own folder"):
                if parent := lineage.parent:
                    start = TeacherCard(parent.lineage.name, parent.lineage.licence, parent.sha256)
                    use_network(logger.experiment, "teacher", start)
                log_network(logger.experiment, "teacher", path, lineage)
