"""Whole runs of one student on several data sets."""

from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image

from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.labels import LABEL_SETS, Bridge, find_bridge
from m2fp_kd.pipeline import run
from m2fp_kd.pipeline.assemble.module import build_module
from m2fp_kd.pipeline.tracking.results import summary
from tests.pipeline.conftest import Composer


@pytest.fixture(scope="session")
def pascal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four training and two test scenes with the labels of PASCAL-Person-Part."""
    bridge = find_bridge(LABEL_SETS["cihp"], LABEL_SETS["pascal_person_part"])
    assert isinstance(bridge, Bridge)
    folder = tmp_path_factory.mktemp("pascal")
    for split, seeds in (("Training", range(4)), ("Testing", (8, 9))):
        for kind in ("Images", "Category_ids"):
            (folder / split / kind).mkdir(parents=True)
        for seed in seeds:
            photo = draw_scene(seed, 64, (1, 2))
            Image.fromarray(photo.image).save(folder / split / "Images" / f"{seed}.png")
            parts = bridge.shares.argmax(axis=1).astype(np.uint8)[photo.parts]
            Image.fromarray(parts).save(folder / split / "Category_ids" / f"{seed}.png")
    return folder


def mix(scenes: Path, pascal: Path, *sources: str) -> list[str]:
    chosen = ["cihp", "pascal_person_part", *sources]
    return [
        "data=mix", f"data/source@data.sources=[{','.join(chosen)}]", f"data.sources.cihp.root={scenes}",
        f"data.sources.pascal_person_part.root={pascal}", "data.sources.pascal_person_part.splits.held_out=1",
    ]  # fmt: skip


def test_a_student_of_a_mix_is_trained_scored_and_compressed(composed: Composer, scenes: Path, pascal: Path) -> None:
    cfg = composed(
        *mix(scenes, pascal, "synthetic"), "data.sources.synthetic.splits.length=4",
        "data.sources.synthetic.splits.val_length=2", "distill=labels_jaccard", "trainer.max_epochs=1",
        "compress=int8_static",
    )  # fmt: skip
    scores = run(cfg)
    report = read_report(Path(cfg.run_dir) / "report.json")
    assert list(report.models) == ["student_fp32", "student_int8"] and report.data.scored_photos == 2
    assert report.data.scored_on == "validation photos of cihp"
    for model in report.models.values():
        assert model.miou == model.sources["cihp"] and set(model.sources) == {"cihp", "pascal_person_part"}
    assert {"shipped/mIoU/pascal_person_part", "student_fp32/mIoU/cihp"} <= set(summary(report))
    page = (Path(cfg.run_dir) / "report.html").read_text()
    assert report.data.ungated == [] and "no gate" not in page and "– on pascal_person_part" in page
    for hop in report.parity:
        assert {one.source for one in hop.sources} == {"cihp", "pascal_person_part", "synthetic"}
        assert all(one.boundary_change is not None and one.worst_part for one in hop.sources)
    curves = {name: points[-1][1] for name, points in report.curves.items()}
    sources = [curves[f"val/mIoU/{name}"] for name in ("cihp", "pascal_person_part", "synthetic")]
    assert scores["val/mIoU"] == pytest.approx(np.mean(sources), rel=1e-5) == curves["val/mIoU"]
    assert {"train/ce", "train/jaccard", "val/IoU/pascal_person_part/head", "val/IoU/cihp/hair"} <= set(curves)
    run(cfg)  # reuses the finished student


def test_without_photos_of_the_students_labels_a_report_has_the_sources_scores(
    composed: Composer, scenes: Path, pascal: Path
) -> None:
    sources = [option for option in mix(scenes, pascal) if ".cihp." not in option]
    sources[1] = "data/source@data.sources=[pascal_person_part]"
    cfg = composed(*sources, "trainer.max_epochs=1")
    assert set(run(cfg)) == {"val/mIoU"}
    report = read_report(Path(cfg.run_dir) / "report.json")
    shipped = list(report.models.values())[-1]
    assert shipped.miou is None and 0 <= shipped.sources["pascal_person_part"] <= 1 and shipped.p50_ms
    assert report.data.scored_photos == 0 and report.data.ungated == []
    for hop in report.parity:
        assert hop.miou_change is None and [one.source for one in hop.sources] == ["pascal_person_part"]


def test_a_live_teacher_with_the_students_labels_teaches_on_photos_of_all_sources(
    composed: Composer, scenes: Path, pascal: Path, teacher_file: Path
) -> None:
    cfg = composed(
        *mix(scenes, pascal), "teacher=live", f"teacher.checkpoint={teacher_file}", "distill=classic",
        "trainer.max_epochs=1",
    )  # fmt: skip
    run(cfg)
    assert {"train/kl", "train/ce"} <= set(read_report(Path(cfg.run_dir) / "report.json").curves)


def test_masks_cannot_be_learnt_from_other_labels(composed: Composer, scenes: Path, pascal: Path) -> None:
    cfg = composed(*mix(scenes, pascal), "student=m2fp")
    network, terms = instantiate(cfg.student.network), instantiate(cfg.student.terms)
    with pytest.raises(ValueError, match=r"terms mask need the student's own labels, but pascal_person_part.*=fpn"):
        build_module(cfg, network, terms, instantiate(cfg.data.module), None)
