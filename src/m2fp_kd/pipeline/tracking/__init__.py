"""A run's results in Weights & Biases: tables, charts, pictures, artefacts and their lineage; a dashboard over runs."""

from m2fp_kd.pipeline.tracking.record import log_report, log_teacher

__all__ = ["log_report", "log_teacher"]
