from dataclasses import replace

from m2fp_kd.evaluation.report.results import DataSummary, ModelResult, RunReport
from m2fp_kd.evaluation.runs.points import points_by_photos
from tests.evaluation.reports import tiny_report


def test_models_on_the_same_photos_share_a_front_and_a_teacher_is_shown_once() -> None:
    def run(data: str, fp32: tuple[float, float], int8: tuple[float | None, float]) -> RunReport:
        models = {"teacher": ModelResult(miou=0.5, p50_ms=100.0)}
        for key, (ms, miou) in (("student_fp32", fp32), ("student_int8", int8)):
            models[key] = ModelResult(miou=miou, p50_ms=ms)
        return replace(tiny_report(), models=models, data=DataSummary(name=data, scored_on="test photos"))

    reports = {
        "a": run("x", (10, 0.4), (5, 0.39)),
        "b": run("x", (11, 0.38), (None, 0.37)),
        "c": run("y", (50, 0.1), (60, 0.1)),
    }
    points = points_by_photos(reports, {run: run.upper() for run in reports})
    found = [(point.group, point.label, point.ms, point.on_front) for point in points["x, test photos"]]
    assert found == [
        ("Teacher", "M2FP", 100.0, True),
        ("Student fp32", "A", 10, True),
        ("Student INT8", "A", 5, True),
        ("Student fp32", "", 11, False),
    ]
    assert [point.on_front for point in points["y, test photos"]] == [True, True, False]
    assert points["x, test photos"][1].value == 40
