"""Parts with their scores, and the result in other tools' formats."""

import numpy as np
import pytest

from m2fp_kd.runtime.formats import rle
from m2fp_kd.runtime.geometry import Placement
from m2fp_kd.runtime.mosaic import mosaic
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.part_map import upsampled_argmax
from tests.runtime.conftest import COLOURS, GOLDEN


@pytest.fixture
def parsing():
    """A photo of 8 x 16 on a canvas of its size: blue right of the middle, surest in the last column of samples."""
    logits = np.full((3, 2, 4), -20, np.float32)
    logits[0, :, :2] = 20
    logits[2, :, 2:] = 0
    logits[1, :, 2] = np.log(1 / 3)  # green is a third as probable there
    canvas = upsampled_argmax(logits)
    outputs = {"part_logits": logits, "part_map": canvas}
    photo = np.full((8, 16, 3), 90, np.uint8)
    return Parsing(photo, canvas, COLOURS, "regions", {}, Placement((8, 16), (8, 16), (8, 16)), outputs)


def test_a_part_has_its_place_and_score(parsing):
    (blue,) = parsing.parts
    pixels = np.count_nonzero(parsing.part_map == 2)
    assert (blue.index, blue.name, blue.area, blue.share) == (2, "blue", pixels, pixels / 128)
    left = int(np.flatnonzero(parsing.part_map[0] == 2)[0])
    assert blue.box == (left, 0, 16, 8) and blue.mask.sum() == pixels
    # In every row, 4 pixels belong to the sample of probability 1 and 4 to that of 3/4; the others do not prefer blue.
    sure = [1.0] * 4 + [0.75] * min(4, 12 - left if left < 12 else 0) + [0.0] * max(0, 8 - left)
    assert blue.score == pytest.approx(np.mean(sure), abs=1e-6)


def test_modelscope_of_a_per_pixel_artefact_has_one_mask_a_part(parsing):
    found = parsing.to_modelscope()
    assert found["labels"] == ["background", "blue"]
    assert all(mask.shape == (8, 16) and mask.dtype == np.float32 for mask in found["masks"])
    np.testing.assert_array_equal(sum(found["masks"]), 1)
    assert found["scores"][1] == parsing.parts[0].score and found["scores"][0] > 0.5


def test_modelscope_of_a_mask_classifier_has_what_the_reference_has(people_artefact):
    """The golden logits: instances of parts, then persons, with the reference's scores."""
    with np.load(GOLDEN) as golden:
        scores = {kind: golden[f"{kind}_outputs_score"] for kind in ("part", "human")}
        least = float(golden["parsing_ins_score_thr"])
    found = Parser.load(people_artefact)(np.zeros((180, 225, 3), np.uint8)).to_modelscope()
    labelled = list(zip(found["labels"], found["scores"], strict=True))
    assert found["labels"] == sorted(found["labels"], key=lambda label: label == "Human")
    assert "background" not in found["labels"] and min(found["scores"]) >= 0.1
    for kind, reference in scores.items():
        ours = [score for label, score in labelled if (label == "Human") == (kind == "human") and score >= least]
        np.testing.assert_allclose(np.sort(ours), np.sort(reference[reference >= least]), rtol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_are_what_pycocotools_reads_and_writes(seed):
    masks = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(seed)
    mask = random.random((37, 53)) < (0, 0.02, 0.5, 1)[seed]
    mask[5:30, 8:40] |= seed == 1  # long runs take several characters
    ours = rle(mask)
    assert ours["counts"] == masks.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    np.testing.assert_array_equal(masks.decode(ours).astype(bool), mask)


def test_coco_names_parts_and_regions(parsing):
    part, region = parsing.to_coco(image_id=7)
    assert (part["category"], part["category_id"]) == ("blue", 2)
    assert (region["category"], region["category_id"], region["score"]) == ("region", 3, 1)
    assert part["image_id"] == region["image_id"] == 7
    left = part["bbox"][0]
    assert part["bbox"] == [left, 0, 16 - left, 8] and part["area"] == parsing.parts[0].area


@pytest.mark.parametrize("every_part", [False, True])
def test_the_mosaic_shows_the_photo_that_was_parsed(people_artefact, every_part):
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    parsing = Parser.load(people_artefact)(photo)
    np.testing.assert_array_equal(parsing.photo, photo)
    expected = mosaic(photo, parsing.part_map, parsing.labels, every_part)
    np.testing.assert_array_equal(parsing.mosaic(every_part), expected)
