"""Log a run to Weights & Biases: tables, charts, pictures, artefacts and their lineage; build a dashboard of runs."""

from m2fp_kd.pipeline.tracking.record import log_report, log_teacher

__all__ = ["log_report", "log_teacher"]
