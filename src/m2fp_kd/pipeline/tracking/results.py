"""Log tables, charts, pictures and the summary of a finished run."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from PIL import Image

from m2fp_kd.evaluation.report.pictures import Picture, masks, reduced
from m2fp_kd.evaluation.report.results import ModelResult, RunReport, title
from m2fp_kd.runtime.checks import Hop

FIGURES = ("miou", "boundary_iou", "boundary_f", "megabytes", "p50_ms", "p95_ms", "peak_mb", "parameters", "gmacs")
LONGEST = 512
"""Longest side of a logged picture, in pixels."""

SHIPPED = "shipped"
"""Second name of a run's last model, so that runs of different compression recipes can be compared."""


def log_results(run: Any, report: RunReport, pictures: Sequence[Picture]) -> None:
    """Log a report to a W&B run.

    Keys: "results" (models x figures), "parity" (hops), "IoU" (parts x models), the same as bars under "parts/MODEL",
    "predictions" (photos with masks of the truth and of every model), and those of `summary`.
    """
    import wandb

    parts = [[part, *(model.iou.get(part) for model in report.models.values())] for part in report.labels.parts]
    hops = ["hop", "pixel_agreement", "miou_change", "miou_error", "boundary_change", "boundary_error"]
    hops += ["worst_part", "worst_part_change", "passed"]
    run.log(
        {
            "results": wandb.Table(
                columns=["model", *FIGURES, "threads", "engine", "precision"],
                data=[
                    [name, *_figures(model).values(), model.threads, model.engine, model.precision]
                    for name, model in report.models.items()
                ],
            ),
            "parity": wandb.Table(
                columns=[*hops], data=[[row[name] for name in hops] for hop in report.parity for row in _rows(hop)]
            ),
            "IoU": wandb.Table(columns=["part", *report.models], data=parts),
            "predictions": _predictions(report, pictures),
        }
        | {f"parts/{name}": _bars(name, model) for name, model in report.models.items()}
    )
    run.summary.update(summary(report))


def summary(report: RunReport) -> dict[str, float]:
    """Return the figures that runs are compared by, without those that were not measured.

    Keys: ``MODEL/FIGURE``, for a mix ``MODEL/mIoU/SOURCE``, both with ``shipped`` for the model to ship,
    ``shipped/IoU/PART``, and the best epoch's ``val/mIoU``.
    """
    shipped = list(report.models.values())[-1]
    values = {
        f"{name}/{'mIoU' if figure == 'miou' else figure}": value
        for name, model in {**report.models, SHIPPED: shipped}.items()
        for figure, value in _figures(model).items()
    }
    values |= {
        f"{name}/mIoU/{source}": value
        for name, model in {**report.models, SHIPPED: shipped}.items()
        for source, value in model.sources.items()
    }
    values |= {f"{SHIPPED}/IoU/{part}": value for part, value in shipped.iou.items()}
    values["val/mIoU"] = report.lineage.val_miou
    return {name: value for name, value in values.items() if value is not None}


def _rows(hop: Hop) -> list[dict[str, Any]]:
    """Return the row of a hop, and one for each of its sources."""
    sources = [
        asdict(one) | {"pixel_agreement": None, "hop": f"{hop.hop}, on {one.source}", "passed": not one.failed}
        for one in hop.sources
    ]
    return [asdict(hop), *sources]


def _figures(model: ModelResult) -> dict[str, float | None]:
    return {figure: getattr(model, figure) for figure in FIGURES}


def _bars(name: str, model: ModelResult) -> Any:
    import wandb

    rows = [[part, value] for part, value in model.iou.items() if value is not None]
    return wandb.plot.bar(wandb.Table(columns=["part", "IoU"], data=rows), "part", "IoU", f"IoU by part: {title(name)}")


def _predictions(report: RunReport, pictures: Sequence[Picture]) -> Any:
    """Return a table with a row per photo: parts as masks that W&B can switch on and off, and each model's mIoU."""
    import wandb

    table = wandb.Table(columns=["photo", "parts", *(f"{name}/mIoU" for name in report.models)])
    for picture in pictures:
        small = reduced(picture, LONGEST)
        image = wandb.Image(Image.fromarray(small.photo), masks=masks(small, report.labels), file_type="jpg")
        table.add_data(picture.name, image, *(picture.miou(name, report.labels) for name in report.models))
    return table
