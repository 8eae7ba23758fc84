"""Build a dashboard in Weights & Biases: `python -m m2fp_kd.pipeline.tracking.dashboard --labels cihp`.

It shows validation mIoU by run and by group, the Pareto fronts of time and size, the IoU of every part, the importance
of settings, and the tables and predictions that runs logged at their end. It needs a login (`wandb login`) and runs
that were online or synced. Every call makes a new dashboard; edit and delete dashboards on W&B's own pages.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from m2fp_kd.labels import load_label_set
from m2fp_kd.versions import install_hint

PROJECT = "m2fp-kd"
SETTINGS = ("backbone.name", "distill.alpha", "distill.temperature", "lr")
"""Settings of the configuration to compare."""


def build(entity: str, project: str, parts: Sequence[str]) -> Any:
    """Build a ``wandb_workspaces.workspaces.Workspace`` without saving it.

    Args:
        entity: user or team in W&B.
        project: project of the runs.
        parts: part names of the label set, background included.
    """
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as workspaces

    def section(name: str, *shown: Any) -> Any:
        return workspaces.Section(name=name, panels=list(shown), is_open=True)

    def curve(metric: str, **more: Any) -> Any:
        return panels.LinePlot(title=metric, x="trainer/global_step", y=[metric], **more)

    def front(cost: str, title: str) -> Any:
        """Plot mIoU against a cost; the running maximum from the cheapest run on draws the front."""
        return panels.ScatterPlot(
            title=title,
            x=panels.SummaryMetric(f"shipped/{cost}"),
            y=panels.SummaryMetric("shipped/mIoU"),
            log_x=True,
            running_ymax=True,
        )

    compared = [
        *(panels.ParallelCoordinatesPlotColumn(panels.Config(setting)) for setting in SETTINGS),
        *(panels.ParallelCoordinatesPlotColumn(panels.SummaryMetric(name)) for name in ("val/mIoU", "shipped/mIoU")),
    ]
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name="Students: quality, cost, parts",
        sections=[
            section(
                "Learning",
                curve("val/mIoU"),
                curve("val/mIoU", groupby="Group", groupby_aggfunc="mean", groupby_rangefunc="minmax"),
                curve("train/loss"),
                panels.LinePlot(title="val/IoU by part", x="trainer/global_step", metric_regex="val/IoU/.*"),
            ),
            section(
                "Models to ship",
                front("p50_ms", "mIoU against ms per photo"),
                front("megabytes", "mIoU against megabytes"),
                panels.WeavePanelSummaryTable(table_name="results"),
                panels.WeavePanelSummaryTable(table_name="parity"),
            ),
            section(
                "Parts",
                panels.BarPlot(
                    title="IoU by part",
                    metrics=[f"shipped/IoU/{part}" for part in parts],
                    max_bars_to_show=20 * len(parts),
                ),
                panels.WeavePanelSummaryTable(table_name="IoU"),
            ),
            section(
                "Settings",
                panels.ParameterImportancePlot(with_respect_to="val/mIoU"),
                panels.ParallelCoordinatesPlot(columns=compared),
                panels.RunComparer(diff_only="split"),
            ),
            section(
                "Predictions",
                panels.MediaBrowser(title="While training", media_keys=["val/predictions"]),
                panels.WeavePanelSummaryTable(table_name="predictions"),
            ),
        ],
        runset_settings=workspaces.RunsetSettings(
            order=[workspaces.Ordering(workspaces.Summary("shipped/mIoU"), ascending=False)],
            pinned_columns=[f"summary:shipped/{figure}" for figure in ("mIoU", "p50_ms", "megabytes")],
        ),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Build and save the dashboard, and print its address."""
    parser = argparse.ArgumentParser(prog="python -m m2fp_kd.pipeline.tracking.dashboard", description=__doc__)
    parser.add_argument("--labels", required=True, help="label set of the runs, or its YAML file")
    parser.add_argument("--project", default=PROJECT, help="default: %(default)s")
    parser.add_argument("--entity", help="user or team; default: that of the login")
    options = parser.parse_args(arguments)
    labels = load_label_set(options.labels)
    try:
        import wandb
        import wandb_workspaces  # noqa: F401
    except ModuleNotFoundError as error:
        parser.error(f"{error.name} is not installed: {install_hint('train')}")
    try:
        entity = (
            options.entity
            or wandb.Api().default_entity
            or parser.error("the login has no default entity; add --entity NAME")
        )
        workspace = build(entity, options.project, labels.parts)
        workspace.save()
    except wandb.Error as error:
        parser.error(f"Weights & Biases refused: {error}")
    print(workspace.url)


if __name__ == "__main__":
    main()
