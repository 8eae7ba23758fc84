"""The folder of labels: names, layout, and refusal of other settings."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from m2fp_kd.autolabel.answer import Answer
from m2fp_kd.autolabel.folder import LabelFolder, Settings, find_sources
from m2fp_kd.data.layouts import m2fp_records
from m2fp_kd.data.reading import read_record
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.geometry import read_photo

LABELS = LABEL_SETS["pascal_person_part"]
MODEL = {"name": "a student", "licence": "research use", "data": "photos", "sha256": "ab" * 32, "size": 256}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "photos", MODEL, LABELS, 0.5, persons=True)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def answer(height: int, width: int) -> Answer:
    rng = np.random.default_rng(0)
    parts = rng.integers(0, 7, (height, width)).astype(np.uint8)
    persons = np.where(parts > 0, 2, 0).astype(np.uint8)
    return Answer(parts, rng.random((height, width), np.float32), persons)


def test_names_hold_the_subfolders(tmp_path):
    touch(tmp_path, "a.jpg", "deep/er/b.c.PNG", "notes.txt", ".hidden/d.jpg", "out/Training/Images/a.jpg")
    found = find_sources(tmp_path, tmp_path / "out")
    assert found == {"a": tmp_path / "a.jpg", "deep__er__b.c": tmp_path / "deep/er/b.c.PNG"}


def test_photos_of_one_name_get_names_of_their_own(tmp_path):
    touch(tmp_path, "a.jpg", "a.png", "b/a.jpg", "b__a.jpg", f"{'n' * 251}.jpg")
    found = find_sources(tmp_path, tmp_path / "out")
    names = {str(path.relative_to(tmp_path))[:8]: name for name, path in found.items()}
    assert (names["a.jpg"], names["a.png"]) == ("a.jpg", "a.png")
    assert names["b/a.jpg"] != names["b__a.jpg"] and names["b/a.jpg"].startswith("b__a.jpg-")
    assert len(names["nnnnnnnn"]) == 250


def test_a_missing_an_empty_and_an_enclosed_folder_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        find_sources(tmp_path / "gone", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no photos in"):
        find_sources(tmp_path, tmp_path / "out")
    touch(tmp_path, "out/photos/a.jpg")
    with pytest.raises(ValueError, match="choose another output folder"):
        find_sources(tmp_path / "out" / "photos", tmp_path / "out")


def test_our_layout_reads_what_was_written(tmp_path, settings):
    photo, found = tmp_path / "a.PNG", answer(40, 60)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)).save(photo)
    folder = LabelFolder(tmp_path / "out", settings)
    assert not folder.done("deep__a")
    folder.write("deep__a", photo, read_photo(photo), found)
    assert folder.done("deep__a")
    (record,) = m2fp_records(tmp_path / "out", "Training")
    assert record.image.read_bytes() == photo.read_bytes() and record.image.name == "deep__a.png"
    read = read_record(record, LABELS)
    np.testing.assert_array_equal(read.parts, np.where(found.confidence < 0.5, 255, found.part_map))
    np.testing.assert_array_equal(read.persons, found.persons)
    with Image.open(tmp_path / "out" / "Training" / "Confidence" / "deep__a.png") as image:
        assert image.mode == "L"
        np.testing.assert_allclose(np.asarray(image) / 255, found.confidence, atol=0.5001 / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_stored_upright(tmp_path, settings, orientation):
    source, exif = tmp_path / "a.jpg", Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:16, :16] = 250
    Image.fromarray(pixels).save(source, exif=exif, quality=95)
    upright = read_photo(source)
    folder = LabelFolder(tmp_path / "out", settings)
    folder.write("a", source, upright, answer(*upright.shape[:2]))
    stored = tmp_path / "out" / "Training" / "Images" / "a.jpg"
    assert (stored.read_bytes() == source.read_bytes()) == (orientation == 1)
    with Image.open(stored) as image:
        without_exif = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(without_exif - upright).mean() < 2, "a program that ignores EXIF sees the photo as labelled"
    (record,) = m2fp_records(tmp_path / "out", "Training")
    read_record(record, LABELS)


def test_the_same_settings_continue_and_count(tmp_path, settings):
    folder = LabelFolder(tmp_path / "out", settings)
    Image.new("RGB", (60, 40)).save(tmp_path / "a.jpg")
    folder.write("a", tmp_path / "a.jpg", np.zeros((40, 60, 3), np.uint8), answer(40, 60))
    folder.save(["a", "b", "c"], ["c"])
    other_words = replace(settings, model=MODEL | {"name": "renamed", "licence": None})
    assert LabelFolder(tmp_path / "out", other_words).done("a")
    content = json.loads((tmp_path / "out" / "autolabel.json").read_text())
    assert content["progress"] == {"photos": 3, "labelled": 1, "failed": ["c"]}
    assert content["settings"]["labels"] == LABELS.to_dict() and content["settings"]["model"] == MODEL


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"labels": LABEL_SETS["cihp"]}, r"labels: pascal_person_part \(7 parts\), not cihp \(20 parts\)"),
        ({"ignore_below": 0.6}, "ignore below: 0.5, not 0.6"),
        ({"persons": False}, "persons: True, not False"),
        ({"photos": Path("elsewhere")}, "photos: .*elsewhere"),
        ({"model": MODEL | {"sha256": "cd" * 32}}, "model sha256: abababababab…, not cdcdcdcdcdcd…"),
        ({"model": MODEL | {"flip": True}}, "model flip: None, not True"),
    ],
)
def test_other_settings_are_refused(tmp_path, settings, changed, words):
    LabelFolder(tmp_path / "out", settings).save([], [])
    before = (tmp_path / "out" / "autolabel.json").read_bytes()
    with pytest.raises(ValueError, match=f"holds labels of other settings .*{words}.*choose another output folder"):
        LabelFolder(tmp_path / "out", replace(settings, **changed))
    assert (tmp_path / "out" / "autolabel.json").read_bytes() == before


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 2}', '{"format": 1, "settings": {}}', '{"format": 1, "settings": {"model": "x"}}'],
)
def test_a_broken_file_and_foreign_data_are_refused(tmp_path, settings, content):
    (tmp_path / "out" / "Training").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"holds data without autolabel\.json; choose another output folder"):
        LabelFolder(tmp_path / "out", settings)
    (tmp_path / "out" / "autolabel.json").write_text(content)
    with pytest.raises(ValueError, match=r"not valid .*choose another output folder"):
        LabelFolder(tmp_path / "out", settings)
