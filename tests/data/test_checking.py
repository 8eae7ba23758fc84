"""All photos and label maps are checked before training, each content once; every bad file is named."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.data import checking
from m2fp_kd.data.checking import check_photos, examine
from m2fp_kd.data.layouts import Record, m2fp_records
from m2fp_kd.data.reading import LabelError
from m2fp_kd.labels import LABEL_SETS

CIHP = LABEL_SETS["cihp"]


@pytest.fixture
def records(m2fp_folder: Path) -> list[Record]:
    return m2fp_records(m2fp_folder, "Training")


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / "runs" / ".checked.json"


def write_map(record: Record, values: np.ndarray, palette: list[int] | None = None) -> None:
    assert record.categories is not None
    image = Image.fromarray(values.astype(np.uint8))
    if palette:
        image.putpalette(palette)
    image.save(record.categories)


def cut(path: Path | None) -> None:
    assert path is not None
    path.write_bytes(path.read_bytes()[:-40])


def test_every_bad_file_is_named_at_once(records: list[Record], known: Path, caplog: pytest.LogCaptureFixture) -> None:
    cut(records[0].categories)
    cut(records[1].image)
    write_map(records[2], np.full((48, 64), 77))
    with pytest.raises(LabelError, match=r"3 of 6 photos cannot be used \(.*mend or remove the files listed") as raised:
        check_photos(records, CIHP, known)
    for record, reason in zip(records, ("not a readable label map", "", "label 77 outside 'cihp'"), strict=False):
        assert record.name in str(raised.value)
        assert any(record.name in line and reason in line for line in caplog.messages)
    assert "\n" not in str(raised.value)


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [2000, 1000])  # Pillow warns beyond its limit and refuses beyond twice its limit
def test_label_maps_may_be_large(records: list[Record], monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert examine(records[0], CIHP).parts


def test_files_that_cannot_be_opened_are_named_with_the_others(
    records: list[Record], known: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (records[0].image, records[1].categories):
        path.unlink()
    records[0].image.symlink_to("nowhere.jpg")
    records[1].categories.mkdir()
    cut(records[2].categories)
    with pytest.raises(LabelError, match="3 of 6 photos cannot be used"):
        check_photos(records, CIHP, known)
    assert all(any(record.name in line for line in caplog.messages) for record in records[:3])


def test_a_content_is_read_once_and_a_mended_file_again(
    records: list[Record], known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = records[3].image.read_bytes()
    cut(records[3].image)
    with pytest.raises(LabelError):
        check_photos(records, CIHP, known)
    records[3].image.write_bytes(whole)
    read: list[str] = []
    monkeypatch.setattr(checking, "examine", lambda record, labels: read.append(record.name) or examine(record, labels))
    check_photos(records, CIHP, known)
    assert read == [records[3].name]
    check_photos(records, replace(CIHP, ignore_index=254), known)
    assert len(read) == 1 + len(records), "another label set is another check"


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"a": 1}'])
def test_damaged_findings_are_made_again(records: list[Record], known: Path, damage: str) -> None:
    known.parent.mkdir()
    known.write_text(damage)
    check_photos(records, CIHP, known)
    assert known.read_text() != damage


def test_labels_one_too_high_give_a_warning(
    records: list[Record], known: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number, record in enumerate(records):
        write_map(record, np.full((48, 64), 1 + number))
    check_photos(records, CIHP, known)
    assert "background (0) occurs in no label map of 'cihp': are the labels one too high?" in caplog.text
    assert "checked 6 label maps of 'cihp': 6 of 20 parts occur; never background, coat, socks" in caplog.text
    caplog.clear()
    write_map(records[0], np.zeros((48, 64)))
    check_photos(records, CIHP, known)
    assert "one too high" not in caplog.text


def test_a_palette_in_another_order_is_refused(
    records: list[Record], known: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An optimised palette keeps the used colours only, so that their indices are no parts any more."""
    values = np.zeros((48, 64), int)
    values[10:20], values[20:30] = 5, 13
    for record in records:
        write_map(record, values, CIHP.palette())
    check_photos(records, CIHP, known)
    colours = np.array(CIHP.palette()).reshape(-1, 3)
    write_map(records[2], np.searchsorted([0, 5, 13], values), colours[[0, 5, 13]].ravel().tolist())
    with pytest.raises(LabelError, match=rf"1 of 6 photos cannot be used \({records[2].name}.png\)"):
        check_photos(records, CIHP, known)
    assert "the colour of its index 1 is theirs of 5" in caplog.text


def test_photos_without_labels_are_decoded(records: list[Record], known: Path) -> None:
    bare = [Record(record.name, record.image) for record in records]
    check_photos(bare, CIHP, known)
    cut(bare[0].image)
    with pytest.raises(LabelError, match=rf"1 of 6 .*{bare[0].name}.jpg"):
        check_photos(bare, CIHP, known)


def test_names_may_be_any_bytes(records: list[Record], known: Path) -> None:
    name = os.fsdecode("照片".encode("gbk") + b".jpg")
    records[0].image.rename(records[0].image.with_name(name))
    strange = replace(records[0], image=records[0].image.with_name(name))
    check_photos([strange], CIHP, known)
    cut(strange.image)
    with pytest.raises(LabelError, match="1 of 1 photos"):
        check_photos([replace(strange, categories=None)], CIHP, known)
