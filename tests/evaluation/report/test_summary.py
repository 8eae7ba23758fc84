from dataclasses import replace

from m2fp_kd.evaluation.report.results import DataSummary, ModelResult
from m2fp_kd.evaluation.report.summary import summary_rows, summary_table
from tests.evaluation.reports import tiny_report


def test_rows_compare_with_the_first_model() -> None:
    rows = {row.quantity: row.cells for row in summary_rows(tiny_report())}
    assert [cell.text for cell in rows["Size"]] == ["253", "12.7", "8.00"]
    assert [cell.compared for cell in rows["Size"]] == ["", "20× smaller", "32× smaller"]
    assert rows["Latency, p50"][2].compared == "100× faster"
    assert rows["mIoU"][1].compared.startswith("−")
    assert rows["Boundary IoU"][1].compared.startswith("−") and rows["Boundary F"][1].compared.startswith("−")


def test_a_missing_value_is_a_dash_without_comparison() -> None:
    rows = {row.quantity: row.cells for row in summary_rows(tiny_report())}
    assert (rows["Latency, p95"][0].text, rows["Latency, p95"][1].compared) == ("–", "")
    models = {"student_fp32": ModelResult(miou=0.5), "student_int8": ModelResult(miou=0.49, p50_ms=3.0)}
    rows = {row.quantity: row.cells for row in summary_rows(replace(tiny_report(), models=models))}
    assert [cell.text for cell in rows["Latency, p50"]] == ["–", "3.00"]
    assert rows["mIoU"][1].compared == "−1.0 points"
    assert "Size" not in rows  # no model has one


def test_worse_values_are_described_as_worse() -> None:
    models = {name: ModelResult(parameters=5, p50_ms=ms) for name, ms in (("fp32", 4.0), ("int8", 6.0))}
    parameters, latency = summary_rows(replace(tiny_report(), models=models))
    assert latency.cells[1].compared == "1.5× slower"
    assert parameters.cells[1].compared == "the same"


def test_table_is_aligned_and_ends_with_the_gates() -> None:
    lines = summary_table(tiny_report(passed=False)).splitlines()
    (size,) = (line for line in lines if line.startswith("Size"))
    starts = {line.index(word) for line, word in ((lines[0], "Student INT8"), (size, "8.00"))}
    assert len(starts) == 1
    assert lines[-2].startswith("✓ passed  PyTorch -> ONNX fp32: 100.00 % of pixels agree")
    assert lines[-1].startswith("✗ FAILED  ONNX fp32 -> INT8")
    assert ", mIoU −2.10 ± 0.42, " in lines[-1]
    assert ", mIoU 0.00 ± 0.00, " in lines[-2]
    assert "largest loss: shoe <left> −7.1" in lines[-1]
    assert max(map(len, lines[:-1])) <= 120


def test_scores_on_sources_without_a_gate_are_told() -> None:
    models = {name: ModelResult(sources={"lip": score}) for name, score in (("fp32", 0.5), ("int8", 0.47))}
    report = replace(tiny_report(), models=models, data=DataSummary(ungated=["lip"]))
    line = summary_table(report).splitlines()[-1]
    assert line.startswith("! no gate  mIoU on lip, which has no validation photos with labels: −3.00 points")


def test_scores_of_persons_have_no_gate_and_are_told() -> None:
    models = {name: ModelResult(instances={"APr": score}) for name, score in (("fp32", 0.5), ("int8", 0.47))}
    line = summary_table(replace(tiny_report(), models=models)).splitlines()[-1]
    assert line == "! no gate  APr of persons: −3.00 points from the first to the last student"


def test_instance_metrics_are_shown_if_a_model_has_them() -> None:
    assert not {row.quantity for row in summary_rows(tiny_report())} & {"APp50", "APvol", "PCP50", "APr50", "APr"}
    models = {
        "teacher": ModelResult(miou=0.6),
        "student_fp32": ModelResult(miou=0.5, instances={"APp50": 0.513, "APvol": 0.4, "APr70": 0.1}),
    }
    rows = {row.quantity: row.cells for row in summary_rows(replace(tiny_report(), models=models))}
    assert [(cell.text, cell.compared) for cell in rows["APp50"]] == [("–", ""), ("51.3", "")]
    assert "APvol" in rows and "PCP50" not in rows
    assert "APr70" not in rows  # in report.json only
