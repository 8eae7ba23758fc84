"""A finished run's results in Weights & Biases: final table, per-part IoU, pictures, artefacts with their lineage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from m2fp_kd.evaluation.pictures import strip
from m2fp_kd.evaluation.results import RunReport


def log_report(loggers: Sequence[Any], report: RunReport, folder: Path) -> None:
    """Log to every W&B logger among ``loggers``; without one, do nothing."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            _log(logger, report, folder)


def _log(logger: WandbLogger, report: RunReport, folder: Path) -> None:
    import wandb

    run = logger.experiment
    columns = ["miou", "megabytes", "p50_ms", "p95_ms", "peak_mb", "parameters"]
    rows = [[name, *(getattr(model, column) for column in columns)] for name, model in report.models.items()]
    parts = [[part, *(model.iou.get(part) for model in report.models.values())] for part in report.labels.parts]
    run.log(
        {
            "results": wandb.Table(columns=["model", *columns], data=rows),
            "IoU": wandb.Table(columns=["part", *report.models], data=parts),
            "predictions": [
                wandb.Image(strip(picture, report.labels), caption=picture.name) for picture in report.pictures
            ],
        }
    )
    for name, model in report.models.items():
        run.summary[f"{name}/mIoU"] = model.miou
    artefact = wandb.Artifact(f"student-{run.id}", type="model", metadata=report.to_dict()["lineage"])
    artefact.add_dir(str(folder / "artefacts"))
    artefact.add_file(str(folder / "report.json"))
    run.log_artifact(artefact)
