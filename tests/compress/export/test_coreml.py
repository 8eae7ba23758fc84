"""Conversion to Core ML: what the file says, since nothing here can run it."""

import json
from pathlib import Path

import pytest
from torch import nn

from m2fp_kd.compress.chain import make_artefacts
from m2fp_kd.compress.export.coreml import NEVER_RUN, CoreML, export_coreml
from m2fp_kd.compress.export.onnx import Export
from m2fp_kd.compress.options import CheckSettings, Gate
from m2fp_kd.compress.source import Source
from m2fp_kd.compress.steps import Unsupported, check_possible
from m2fp_kd.data.reading import Photo
from m2fp_kd.runtime.artefact import ArtefactError, Card, load_card
from tests.compress.colour_student import COLOURS, SIZE

coremltools = pytest.importorskip("coremltools", reason="needs the coreml extra")


@pytest.fixture(scope="module")
def converted(student: nn.Module, card: Card, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert the colour student after its export."""
    folder = tmp_path_factory.mktemp("artefacts")
    source = Source(student, card, lambda count: iter([]), [])
    export_coreml(source.student, folder / "model.mlpackage", source.card)
    return folder / "model.mlpackage"


def test_the_model_takes_an_image_and_gives_the_logits_of_the_parts(converted: Path) -> None:
    description = coremltools.models.MLModel(str(converted), skip_model_load=True).get_spec().description
    (image,), (logits,) = description.input, description.output
    assert (image.name, image.type.imageType.width, image.type.imageType.height) == ("image", SIZE, SIZE)
    shape = [1, len(COLOURS.parts), SIZE // 4, SIZE // 4]
    assert (logits.name, list(logits.type.multiArrayType.shape)) == ("part_logits", shape)
    assert description.metadata.shortDescription == NEVER_RUN
    assert json.loads(description.metadata.userDefined["parts"]) == list(COLOURS.parts)


def test_the_card_is_that_of_these_files_which_everybody_may_read(converted: Path) -> None:
    assert load_card(converted).head == "fpn"
    (converted.parent / "new").touch()
    files = [path for path in converted.parent.rglob("*") if path.is_file()]
    assert len(files) == 5 and len({path.stat().st_mode for path in files}) == 1
    weights = next(converted.rglob("weight.bin"))
    before = weights.read_bytes()
    weights.write_bytes(before + b"\0")
    try:
        with pytest.raises(ArtefactError, match=r"weight\.bin: is not the file that card\.json beside it describes"):
            load_card(converted)
    finally:
        weights.write_bytes(before)


def test_a_chain_converts_it_without_a_check_and_says_so(
    student: nn.Module, card: Card, photos: list[Photo], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(student, card, lambda count: iter([]), photos)
    gates = CheckSettings({"export": Gate(0.999, 0.1)}, 1)
    result = make_artefacts(source, tmp_path, [Export(), CoreML()], gates)
    assert list(result.paths) == ["fp32"] and len(result.parities) == 1
    assert (tmp_path / "coreml" / "model.mlpackage").is_dir() and not (tmp_path / "coreml" / "checks.json").exists()
    assert "coreml/model.mlpackage was converted and never run" in caplog.text


def test_only_per_pixel_students_are_converted() -> None:
    with pytest.raises(Unsupported, match="coreml is for fpn networks, and this one is m2fp"):
        check_possible([CoreML()], "m2fp", True, COLOURS)
