"""Labels of a model are traced to it by the file beside them."""

import json
from pathlib import Path

import pytest

from m2fp_kd.runtime.label_origin import ORIGIN, label_models

FACTS = {"name": "fpn-resnet50", "licence": "CC BY-NC 4.0", "sha256": "ab"}


def labelled(folder: Path, content: str) -> Path:
    folder.mkdir()
    (folder / ORIGIN).write_text(content)
    return folder / "Training" / "Category_ids" / "a.png"


def test_a_model_is_named_once(tmp_path: Path) -> None:
    content = json.dumps({"settings": {"model": FACTS | {"size": 64}}})
    first, second = labelled(tmp_path / "a", content), labelled(tmp_path / "b", content)
    people = tmp_path / "c" / "Training" / "Category_ids" / "a.png"
    assert label_models([first, first.with_name("b.png"), second, people, Path("a.png")]) == [FACTS]


@pytest.mark.parametrize("content", ["", "[]", '{"settings": 3}', '{"settings": {"model": null}}'])
def test_a_broken_file_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(ValueError, match=rf"^{tmp_path}/a/autolabel.json: not valid .*its licence: restore it"):
        label_models([labelled(tmp_path / "a", content)])
