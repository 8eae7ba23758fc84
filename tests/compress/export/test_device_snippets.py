"""The Python snippets of the page on phones and boards: extracted from the page and run on exported files."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from m2fp_kd.compress.export.executorch import export_executorch
from m2fp_kd.compress.export.litert import export_litert
from m2fp_kd.compress.export.ncnn import export_ncnn
from m2fp_kd.compress.steps import CONVERTERS
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.engines import open_engine
from m2fp_kd.runtime.geometry import Geometry, place
from tests.compress.colour_student import SIZE, rectangles
from tests.runtime.tiny_tflite import cast_model

PAGE = (Path(__file__).parents[3] / "docs" / "guides" / "devices.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def snippet(words: str) -> str:
    """Return the page's only snippet that contains these words."""
    (found,) = (text for text in SNIPPETS if words in text)
    return found


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NDArray[np.uint8]:
    """A photo in `photo.jpg` of a folder, which becomes the current one."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(rectangles(3, 150, 203).image).save("photo.jpg", quality=95)
    return np.asarray(Image.open("photo.jpg"))


def check(model: Path, photo: NDArray[np.uint8], engines_words: str) -> None:
    """Compare a snippet's part map with that of the runtime's engine."""
    values: dict[str, NDArray] = {}
    exec(snippet("Image.open") + snippet(engines_words), values)
    canvas, _ = place(photo, Geometry(SIZE))
    np.testing.assert_array_equal(values["rgb"], canvas)
    expected = open_engine(model)(canvas[None])["part_logits"][0].argmax(axis=0)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(values["part_map"], expected)


@pytest.mark.parametrize(
    ("format", "name", "export", "words"),
    [
        ("executorch", "model.pte", export_executorch, "executorch.runtime"),
        ("ncnn", "model.param", export_ncnn, "ncnn.Net()"),
        ("litert", "model.tflite", export_litert, "ai_edge_litert"),
    ],
)
def test_a_snippet_gives_the_runtimes_part_map(
    format: str,
    name: str,
    export: Callable[..., None],
    words: str,
    photo: NDArray[np.uint8],
    student: nn.Module,
    card: Card,
    tmp_path: Path,
) -> None:
    pytest.importorskip(CONVERTERS[format][0], reason="the converter is not installed")
    export(student, tmp_path / name, card)
    check(tmp_path / name, photo, words)


def test_litert_snippet_without_the_converter(photo: NDArray[np.uint8], card: Card, tmp_path: Path) -> None:
    """The model's logits are its canvas: its "part" is the strongest colour."""
    pytest.importorskip("ai_edge_litert")
    model = tmp_path / "model.tflite"
    model.write_bytes(cast_model(SIZE))
    save_card(model, card)
    check(model, photo, "ai_edge_litert")
