"""Mosaics have the right size and colours, and a legend of the parts present."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.geometry import read_photo
from m2fp_kd.runtime.mosaic import GAP, mosaic

LABELS = LABEL_SETS["cihp"]
DATA = Path(os.environ.get("M2FP_KD_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.parametrize("shape", [(64, 48), (1, 300), (300, 1), (3000, 2000)])
def test_any_shape_gives_a_sheet_of_readable_size(shape):
    sheet = mosaic(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8), LABELS)
    assert sheet.mode == "RGB"
    assert 512 <= max(sheet.size) <= 2 * 1024 + 3 * GAP


def test_the_photo_stands_left_and_the_parts_right():
    photo = np.full((512, 512, 3), 90, np.uint8)
    part_map = np.zeros((512, 512), np.uint8)
    part_map[100:400, 100:400] = 5
    sheet = np.asarray(mosaic(photo, part_map, LABELS)).astype(int)
    np.testing.assert_array_equal(sheet[GAP + 250, GAP + 250], (90, 90, 90))
    inside = sheet[GAP + 250, 2 * GAP + 512 + 250]
    wanted = np.array(LABELS.colours[5])
    assert np.abs(inside - wanted).sum() < np.abs(90 - wanted).sum()


def test_the_legend_names_only_the_parts_present():
    photo = np.zeros((400, 400, 3), np.uint8)
    few, many = np.zeros((2, 400, 400), np.uint8)
    few[:10] = 3
    many[: 18 * 10] = np.repeat(np.arange(1, 19, dtype=np.uint8), 10)[:, None]
    one, all_of_them = mosaic(photo, few, LABELS), mosaic(photo, many, LABELS)
    assert all_of_them.height > one.height, "more parts, more lines"
    legend = np.asarray(one)[512 + 2 * GAP :].reshape(-1, 3)
    present = {tuple(colour) for colour in legend.tolist()}
    assert LABELS.colours[3] in present
    assert not present & (set(LABELS.colours[1:]) - {LABELS.colours[3]})


def test_a_videos_frames_are_of_one_size_whatever_is_in_them():
    photo = np.zeros((400, 400, 3), np.uint8)
    many = np.repeat(np.arange(20, dtype=np.uint8), 20)[:, None].repeat(400, 1)
    one, other = (np.asarray(mosaic(photo, parts, LABELS, every_part=True)) for parts in (np.zeros_like(many), many))
    assert one.shape == other.shape
    np.testing.assert_array_equal(one[512 + 2 * GAP :], other[512 + 2 * GAP :])
    drawn = {tuple(colour) for colour in one[512 + 2 * GAP :].reshape(-1, 3).tolist()}
    assert set(LABELS.colours[1:]) <= drawn, "the legend names every part"


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match="size"):
        mosaic(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.uint8), LABELS)


def test_a_real_photo_with_its_label():
    folder = DATA / "pascal-person-part" / "Testing"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}; set M2FP_KD_DATA to the folder of real photos")
    photo_path = min((folder / "Images").iterdir())
    label_path = folder / "Category_ids" / f"{photo_path.stem}.png"
    labels = LABEL_SETS["pascal_person_part"]
    part_map = np.asarray(Image.open(label_path))
    labels.check(part_map, str(label_path))
    sheet = mosaic(read_photo(photo_path), part_map, labels)
    present = {labels.colours[part] for part in np.unique(part_map)}
    drawn = {colour for _, colour in sheet.getcolors(sheet.width * sheet.height)}
    assert present - {labels.colours[0]} <= drawn, "the legend shows every part that is present, in its colour"
