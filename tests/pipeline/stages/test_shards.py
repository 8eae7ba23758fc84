"""Training from shards, end to end."""

import json
from pathlib import Path

import pytest

from m2fp_kd.data.sharded.writing import make, plan
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.pipeline import run
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
    scores = run(composed(*shards, "compress=none", "trainer.max_epochs=1"))
    assert 0 <= scores["val/mIoU"] <= 1
    data = json.loads((tmp_path / "run" / "report.json").read_text())["data"]
    assert (data["training_photos"], data["validation_photos"], data["scored_photos"]) == (6, 2, 2)


def test_what_shards_cannot_do_is_refused_before_any_work(composed: Composer, shards: list[str]) -> None:
    with pytest.raises(ValueError, match=r"data.urls is not set; give data.urls='DIR"):
        check(composed("data=shards"))
    with pytest.raises(ValueError, match=r"data.val_urls is not set"):
        check(composed(*shards, "data.val_urls=null"))
    with pytest.raises(ValueError, match="stage=cache data=shards: fill the cache from the folder"):
        check(composed(*shards, "stage=cache", "teacher=cached", "teacher.checkpoint=timm:x"))
