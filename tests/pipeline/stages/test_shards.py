"""Training from shards, end to end."""

import json
from pathlib import Path

import fsspec
import pytest

from m2fp_kd import cli
from m2fp_kd.data.sharded.writing import make, plan
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.pipeline import run
from m2fp_kd.pipeline.assemble.data import load_data
from m2fp_kd.pipeline.assemble.teacher import load_teacher
from m2fp_kd.preflight import check
from tests.pipeline.conftest import Composer


@pytest.fixture
def shards(scenes: Path, tmp_path: Path) -> list[str]:
    """Write shards of the scenes and return the overrides that train from them."""
    folder = tmp_path / "shards"
    make(plan(scenes, 0.02), folder, LABEL_SETS["cihp"])
    urls = [f"data.urls={folder}/train-*.tar", f"data.val_urls={folder}/val-*.tar"]
    return ["data=shards", *urls, f"data.unpack_to={tmp_path}/unpacked"]


@pytest.mark.filterwarnings("ignore")
def test_a_student_of_shards_is_scored_on_the_unpacked_photos(
    composed: Composer, shards: list[str], tmp_path: Path
) -> None:
    scores = run(composed(*shards, "trainer.max_epochs=1"))
    assert 0 <= scores["val/mIoU"] <= 1
    data = json.loads((tmp_path / "run" / "report.json").read_text())["data"]
    assert (data["training_photos"], data["validation_photos"], data["scored_photos"]) == (6, 2, 2)


@pytest.mark.filterwarnings("ignore")
def test_a_cached_teacher_teaches_from_shards_on_another_file_system(
    composed: Composer, scenes: Path, teacher_file: Path, tmp_path: Path
) -> None:
    """As docs/guides/scale.md describes it: fill the cache from files, pack its targets, copy the shards, train."""
    teacher = ["teacher=cached", f"teacher.checkpoint={teacher_file}", f"teacher.cache={tmp_path}/cache"]
    run(composed("stage=cache", *teacher, f"run_dir={tmp_path}/filling"))
    (cache,) = (tmp_path / "cache").iterdir()
    packing = ["shards", "make", str(scenes), str(tmp_path / "shards"), "--labels", "cihp", "--cache", str(cache)]
    assert cli.main(packing) == 0
    system = fsspec.filesystem("memory")
    system.put(f"{tmp_path}/shards/*", "/bucket/")
    urls = ["data.urls=memory://bucket/train-*.tar", "data.val_urls=memory://bucket/val-*.tar"]
    shards = ["data=shards", *urls, f"data.unpack_to={tmp_path}/unpacked", "distill=classic"]
    filled = (cache / "targets.bin").stat().st_size
    stored = ["teacher=cached", "teacher.checkpoint=null", f"teacher.cache={cache}"]
    scores = run(composed(*shards, *stored, "trainer.max_epochs=1"))
    report = read_report(tmp_path / "run" / "report.json")
    assert "train/kl" in report.curves and 0 <= scores["val/mIoU"] <= 1
    assert json.loads((tmp_path / "run" / "student.json").read_text())["lineage"]["teacher"]["licence"] == "Apache-2.0"
    named = composed(*shards, *teacher)
    datamodule = load_data(named)
    load_teacher(named, datamodule)
    datamodule.setup()
    assert (cache / "targets.bin").stat().st_size == filled, "nothing was computed again"
    system.rm("/bucket", recursive=True)


def test_what_shards_cannot_do_is_refused_before_any_work(composed: Composer, shards: list[str]) -> None:
    with pytest.raises(ValueError, match=r"data.urls is not set; give data.urls='DIR"):
        check(composed("data=shards"))
    with pytest.raises(ValueError, match=r"data.val_urls is not set"):
        check(composed(*shards, "data.val_urls=null"))
    with pytest.raises(ValueError, match=r"stage=cache data=shards: fill the cache from the folder.*--cache CACHE"):
        check(composed(*shards, "stage=cache", "teacher=cached", "teacher.checkpoint=timm:x"))
