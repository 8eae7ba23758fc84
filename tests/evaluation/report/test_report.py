import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.evaluation.report.page import _charts
from m2fp_kd.evaluation.report.pictures import Picture, PictureFile
from m2fp_kd.evaluation.report.report import read_report, write_report
from m2fp_kd.evaluation.report.results import DataSummary, ModelResult, RunReport
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.checks import SourceChange
from m2fp_kd.runtime.provenance import Lineage, ObjectiveSummary
from tests.evaluation.reports import LABELS, tiny_pictures, tiny_report

VOID = {"meta", "img", "br", "line", "polyline", "polygon", "circle"}


class Page(HTMLParser):
    """Collects tags and text, and checks that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(folder: Path, pictures: Sequence[Picture] = (), **changes: object) -> Page:
    _, page = write_report(folder, replace(tiny_report(), **changes), pictures)
    return Page(page.read_text(encoding="utf-8"))


def test_json_layout(tmp_path: Path) -> None:
    path, _ = write_report(tmp_path, tiny_report(distill={"alpha": 0.7}))
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report == read_report(path).to_dict()
    assert list(report["models"]) == ["teacher", "student_fp32", "student_int8"]
    int8 = report["models"]["student_int8"]
    assert set(int8) == set(ModelResult.__dataclass_fields__)
    assert set(int8["iou"]) == set(LABELS.parts)
    assert 0 < int8["miou"] < 1
    assert report["models"]["teacher"]["peak_mb"] is None
    assert report["parity"][1]["thresholds"] == {"min_pixel_agreement": 0.96, "max_miou_drop": 3.0}
    assert report["curves"]["val/IoU/head"] == [[9, 0.1], [19, None], [29, 0.3]]
    assert report["config"] == {"distill": {"alpha": 0.7}}
    assert LabelSet.from_dict(report["labels"]) == LABELS
    assert report["cpu"]["features"] == ["AVX2"]


def test_a_report_of_format_1_is_read_under_todays_names() -> None:
    model = {"miou": 0.4, "arithmetic": "f32"}
    old = {
        "format": 1, "name": "run", "created": "2026-01-02", "labels": LABELS.to_dict(), "models": {"student": model},
        "parity": [], "shares": {}, "curves": {"val/mIoU": [[9, 0.2], [19, None]]}, "config": {}, "versions": {},
        "data": {"name": "sample", "scored_on": "test photos"}, "cpu": {"model": "A", "outlook": ["INT8 pays"]},
        "lineage": {"recipe": {"terms": {"kl": 1}, "teacher_terms": ["kl"], "fade": 0.5}, "val/mIoU": 0.4},
        "pictures": [{"name": "one", "file": "pictures/01.jpg"}],
    }  # fmt: skip
    report = RunReport.from_dict(old)
    assert report.models["student"].precision == "f32"
    assert report.lineage == Lineage(objective=ObjectiveSummary({"kl": 1}, ("kl",), anneal=0.5), val_miou=0.4)
    assert report.cpu == {"model": "A", "expected_speedup": ["INT8 pays"]}
    assert report.curves["val/mIoU"][0] == (9, 0.2) and np.isnan(report.curves["val/mIoU"][1][1])
    assert report.data.scored_on == "test photos" and report.pictures == [PictureFile("one", "pictures/01.jpg")]
    assert RunReport.from_dict(report.to_dict()) == report


def test_json_holds_only_plain_types(tmp_path: Path) -> None:
    config = {"path": Path("a/b"), "share": np.float32(0.5), "count": np.int64(3), "none": float("inf"), 1: (2,)}
    path, _ = write_report(tmp_path, replace(tiny_report(), config=config))
    assert read_report(path).config == {"path": "a/b", "share": 0.5, "count": 3, "none": None, "1": [2]}


def test_pictures_are_saved_beside_the_report(tmp_path: Path) -> None:
    path, _ = write_report(tmp_path, tiny_report(), tiny_pictures())
    entries = read_report(path).pictures
    assert [entry.name for entry in entries] == ["one.jpg", "two.jpg"]
    for entry in entries:
        with Image.open(tmp_path / entry.file) as image:
            assert image.height == 24
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pictures", "report.html", "report.json"]


def test_page_makes_no_external_request(tmp_path: Path) -> None:
    page = page_of(tmp_path, tiny_pictures())
    sources = [value for _, name, value in page.attributes if name in ("src", "href", "srcset")]
    assert len(sources) == 2 * 5
    assert all(value is not None and value.startswith("data:image/jpeg;base64,") for value in sources)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"?https?:|url\((?!#)|@import|<script|<link", text)


def test_page_shows_all_results(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    for text in (
        "Student INT8",
        "32× smaller",
        "shoe <left>",
        "All 2 parity gates passed",
        "CC BY-NC 4.0",
        "Some CPU",
        "Boundary IoU per part",
        "Boundary F per part",
    ):
        assert text in page.text
    assert sum(tag == "svg" and name == "viewbox" for tag, name, _ in page.attributes) == 3 + 1  # curves, front
    assert "ms per photo" in page.text
    assert "val/mIoU" in page.text
    assert "Teacher: from its card." in page.text


def shown_text(folder: Path, report: RunReport) -> str:
    """The text of a report's page, with single spaces."""
    _, path = write_report(folder, report)
    return " ".join(Page(path.read_text(encoding="utf-8")).text.split())


def test_page_names_the_limit_that_failed(tmp_path: Path) -> None:
    text = shown_text(tmp_path, tiny_report(passed=False))
    limit = "−2.10 ± 0.42 points of mIoU (at most 0.5 lost with 95 % confidence)."
    assert f"Parity gate failed: ONNX fp32 -> INT8. {limit} The artefact is not the one to ship." in text
    assert "Largest loss: shoe" not in text and "gates passed" not in text
    assert "≥ 96 % of pixels agree" in text and "≤ 0.5 points of mIoU" in text


def test_page_names_all_limits_that_failed(tmp_path: Path) -> None:
    report = tiny_report(passed=False)
    failed, limits = ["max_miou_drop", "max_part_drop"], {"max_miou_drop": 0.5, "max_part_drop": 5.0}
    hop = replace(report.parity[-1], failed=failed, thresholds=limits)
    text = shown_text(tmp_path, replace(report, parity=[hop]))
    assert "with 95 % confidence). Shoe <left> lost most, −7.1" in text


def test_page_has_a_row_for_every_source_and_names_its_limit_that_failed(tmp_path: Path) -> None:
    report = tiny_report()
    broken = SourceChange("ccp", 0.5, 0.47, -0.03, 0.01, -0.02, 0.01, "hat", -0.04, ["max_miou_drop"])
    hop = replace(report.parity[1], passed=False, sources=[broken, replace(broken, source="lip", failed=[])])
    text = shown_text(tmp_path, replace(report, parity=[report.parity[0], hop]))
    limit = "On ccp, −3.00 ± 1.00 points of mIoU (at most 3 lost with 95 % confidence)."
    assert f"Parity gate failed: ONNX fp32 -> INT8. {limit} The artefact" in text
    assert "– on ccp – −3.00 ± 1.00 −2.00 ± 1.00 hat−4.0 the same ✗ failed" in text and "– on lip" in text
    assert read_report(tmp_path / "report.json").parity[1] == hop


def test_page_of_an_earlier_version_names_the_largest_loss(tmp_path: Path) -> None:
    report = tiny_report(passed=False)
    text = shown_text(tmp_path, replace(report, parity=[replace(hop, failed=[]) for hop in report.parity]))
    assert "Parity gate failed: ONNX fp32 -> INT8. Largest loss: shoe <left>, −7.1 points of IoU." in text


def test_headline_is_of_a_model_that_passed(tmp_path: Path) -> None:
    assert "Student INT8 compared with the teacher" in shown_text(tmp_path / "passed", tiny_report())
    failed = tiny_report(passed=False)
    text = shown_text(tmp_path / "failed", failed)
    assert "Student fp32 compared with the teacher" in text and "Student INT8 compared" not in text
    # What is made from a failed model is not praised either.
    made = replace(failed.models["student_int8"], p50_ms=1.0)
    later = replace(failed.parity[0], hop="int8 -> openvino_int8")
    chain = replace(failed, models=failed.models | {"student_openvino_int8": made}, parity=[*failed.parity, later])
    assert "Student fp32 compared with the teacher" in shown_text(tmp_path / "chain", chain)
    first = replace(failed, parity=[replace(failed.parity[1], hop="PyTorch -> fp32"), failed.parity[1]])
    assert "compared with the teacher" not in shown_text(tmp_path / "none", first)


def test_page_names_the_photos(tmp_path: Path) -> None:
    assert "scored on 2 validation photos of tiny" in shown_text(tmp_path, tiny_report())


def test_curves_begin_with_validation_in_percent_and_end_with_one_learning_rate(tmp_path: Path) -> None:
    report = tiny_report()
    rate = [(0, 0.1), (9, 0.01)]
    curves = {f"lr-AdamW/pg{group}": rate for group in (1, 2, 3)} | report.curves
    charts = [chart.name for chart in _charts(replace(report, curves=curves))]
    assert charts == ["val/IoU/head %", "val/mIoU %", "train/loss", "lr-AdamW/pg1 and 2 equal"]
    last = {chart.name: chart.last for chart in _charts(report)}
    assert last["val/mIoU %"] == "50" and last["val/IoU/head %"] == "30"


def test_times_of_a_busy_machine_are_marked(tmp_path: Path) -> None:
    report = tiny_report()
    assert "Other processes" not in shown_text(tmp_path / "alone", report)
    busy = {key: replace(model, other_cores=1.5 * (key == "student_int8")) for key, model in report.models.items()}
    text = shown_text(tmp_path / "busy", replace(report, models=busy))
    assert "Other processes used the CPU while student int8 was measured" in text
    assert "Used by others meanwhile cores" in text and "0.000.001.50" in text


def test_page_of_a_bare_run(tmp_path: Path) -> None:
    """A run on labels only, with nothing but the fp32 student's score."""
    models = {"student_fp32": ModelResult(miou=0.5, iou={"background": 0.5, "head": None})}
    bare = {"parity": [], "curves": {}, "data": DataSummary(), "lineage": Lineage(), "cpu": {}, "versions": {}}
    page = page_of(tmp_path, models=models, **bare)
    assert "50.0" in page.text
    assert "Teacher" not in page.text
    assert "None" not in page.text and "nan" not in page.text


def test_markup_in_names_is_text(tmp_path: Path) -> None:
    page = page_of(tmp_path, name="<b>run</b>", curves={'<i a="b">': [(0, 1.0)]})
    assert "<b>run</b>" in page.text
    assert not any(tag == "i" and name == "a" for tag, name, _ in page.attributes)


def test_a_report_without_models_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one model"):
        replace(tiny_report(), models={})


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not valid JSON"), ("[]", "format None"), ('{"format": 99}', "format 99, but this version reads")],
)
def test_other_files_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"report\.json: .*{message}"):
        read_report(path)


def test_rare_parts_come_first_with_the_change_by_every_step(tmp_path: Path) -> None:
    def model(*iou: float) -> ModelResult:
        return ModelResult(iou=dict(zip(LABELS.parts, iou, strict=True)))

    models = {
        "student_original": model(0.9, 0.5, 0.4),
        "student_fp32": model(0.9, 0.48, 0.3),
        "student_int8": model(0.9, 0.49, 0.295),
    }
    text = page_of(tmp_path, models=models).text
    rows = text[text.index("rare parts first") : text.index("Parity of each hop")]
    assert rows.index("shoe <left>") < rows.index("head") < rows.index("background")
    shoe, head = rows[rows.index("shoe <left>") : rows.index("head")], rows[rows.index("head") :]
    assert "5.0" in shoe and "−10.0" in shoe and "−0.5" in shoe
    assert "−2.0" in head and "+1.0" in head
    assert "Change by pruning or QAT" in rows


def test_page_and_json_show_instance_metrics_with_their_source(tmp_path: Path) -> None:
    assert "APp50" not in page_of(tmp_path).text and "Zhao et al." not in page_of(tmp_path).text
    models = {"student_int8": ModelResult(miou=0.5, instances={"APp50": 0.513, "APr": 0.4})}
    text = page_of(tmp_path, models=models).text
    assert "APp50" in text and "51.3" in text and "PCP50" not in text and "Zhao et al. 2018" in text
    assert read_report(tmp_path / "report.json").models["student_int8"].instances == {"APp50": 0.513, "APr": 0.4}


def test_a_photo_may_have_a_name_of_any_bytes(tmp_path: Path) -> None:
    strange = os.fsdecode("照片".encode("gbk"))
    pictures = [replace(picture, name=f"{strange} & more") for picture in tiny_pictures()]
    json_path, page_path = write_report(tmp_path, tiny_report(), pictures)
    assert "more" in page_path.read_text(encoding="utf-8")
    assert all(picture.name.endswith(" & more") for picture in read_report(json_path).pictures)
