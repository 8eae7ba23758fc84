"""Layouts list their records and name every gap."""

import os
from pathlib import Path

import pytest

from m2fp_kd.data.layouts import (
    LayoutError,
    Record,
    ccp_records,
    limit_records,
    m2fp_records,
    photo_records,
    split_records,
    take_labels,
)


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def test_m2fp_records_are_sorted_and_complete(m2fp_folder: Path) -> None:
    records = m2fp_records(m2fp_folder, "Training")
    assert [record.name for record in records] == [f"{seed:08d}" for seed in range(6)]
    assert all(path.is_file() for record in records for path in (record.image, record.categories, record.persons))
    assert records[0].instances == m2fp_folder / "Training" / "Instance_ids" / "00000000.png"


def test_person_and_instance_ids_are_optional(tmp_path: Path) -> None:
    touch(tmp_path / "Testing" / "Images" / "a.JPG")
    touch(tmp_path / "Testing" / "Category_ids" / "a.png")
    (record,) = m2fp_records(tmp_path, "Testing")
    assert record.persons is None and record.instances is None


@pytest.mark.parametrize("missing", ["Training", "Training/Images", "Training/Category_ids"])
def test_missing_folder_is_named(m2fp_folder: Path, missing: str) -> None:
    (m2fp_folder / missing).rename(m2fp_folder / "elsewhere")
    with pytest.raises(LayoutError, match=f"{missing}.*does not exist"):
        m2fp_records(m2fp_folder, "Training")


def test_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "Training" / "Images").mkdir(parents=True)
    with pytest.raises(LayoutError, match=r"Images has no .*jpg"):
        m2fp_records(tmp_path, "Training")
    with pytest.raises(LayoutError, match="has no"):
        photo_records(tmp_path)


def test_photo_without_label_and_label_without_photo_are_named(m2fp_folder: Path) -> None:
    (m2fp_folder / "Training" / "Category_ids" / "00000002.png").unlink()
    (m2fp_folder / "Training" / "Images" / "00000004.jpg").unlink()
    with pytest.raises(LayoutError) as error:
        m2fp_records(m2fp_folder, "Training")
    assert "1 in" in str(error.value) and "00000002" in str(error.value) and "00000004" in str(error.value)


def test_only_a_few_of_many_gaps_are_listed(tmp_path: Path) -> None:
    touch(tmp_path / "Training" / "Category_ids" / "x.png")
    for number in range(20):
        touch(tmp_path / "Training" / "Images" / f"{number:02d}.jpg")
    with pytest.raises(LayoutError, match=r"20 in .*: 00, 01, 02, 03, 04, \.\.\."):
        m2fp_records(tmp_path, "Training")


def test_missing_instance_map_is_named(m2fp_folder: Path) -> None:
    (m2fp_folder / "Training" / "Instance_ids" / "00000001.png").unlink()
    with pytest.raises(LayoutError, match=r"Instance_ids: 00000001"):
        m2fp_records(m2fp_folder, "Training")


def test_two_photos_that_share_a_name_are_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    touch(tmp_path / "a.png")
    with pytest.raises(LayoutError, match=r"a\.jpg and a\.png"):
        photo_records(tmp_path)


def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no split 'train'"):
        m2fp_records(tmp_path, "train")


def test_ccp_has_labelled_and_unlabelled_photos(tmp_path: Path) -> None:
    for name in ("0001", "0002", "1001"):
        touch(tmp_path / "photos" / f"{name}.jpg")
    for name in ("0001", "0002"):
        touch(tmp_path / "annotations" / "pixel-level" / f"{name}.mat")
    touch(tmp_path / "annotations" / "image-level" / "1001.mat")
    touch(tmp_path / "label_list.mat")
    records = ccp_records(tmp_path)
    assert [(record.name, record.categories is not None) for record in records] == [
        ("0001", True), ("0002", True), ("1001", False),
    ]  # fmt: skip
    touch(tmp_path / "photos" / "9999.jpg")
    with pytest.raises(LayoutError, match="9999"):
        ccp_records(tmp_path)


def test_a_plain_folder_is_unlabelled(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpeg", "notes.txt", ".hidden.jpg"):
        touch(tmp_path / name)
    assert photo_records(tmp_path) == [Record("a", tmp_path / "a.jpeg"), Record("b", tmp_path / "b.png")]


def records_named(names: list[str]) -> list[Record]:
    return [Record(name, Path(name)) for name in names]


def test_held_out_photos_depend_on_their_names_only() -> None:
    records = records_named([f"{number:05d}" for number in range(2000)])
    train, held_out = split_records(records, 0.1)
    assert set(train) | set(held_out) == set(records) and not set(train) & set(held_out)
    assert 150 < len(held_out) < 250
    fewer = split_records(records[::2], 0.1)[1]
    assert set(fewer) == set(held_out) & set(records[::2])
    assert set(split_records(records, 0.1, seed=1)[1]) != set(held_out)


def test_a_number_of_photos_can_be_held_out() -> None:
    records = records_named([f"{number:02d}" for number in range(69)])
    train, held_out = split_records(records, 29)
    assert (len(train), len(held_out)) == (40, 29) and set(train) | set(held_out) == set(records)
    assert (
        held_out == sorted(held_out, key=lambda record: record.name)
        and split_records(records[::-1], 29)[1][::-1] == held_out
    )
    assert set(split_records(records, 10)[1]) < set(held_out)


@pytest.mark.parametrize("held_out", [0, -1, 0.1, 1, 5])
def test_too_few_photos_to_hold_out_are_an_error(held_out: float) -> None:
    with pytest.raises(ValueError, match="leaves one side empty; add photos, or give a share between 0 and 1 or"):
        split_records(records_named(["a"]), held_out)


def test_limit_is_a_fixed_choice_in_order() -> None:
    records = records_named([f"{number:03d}" for number in range(50)])
    chosen = limit_records(records, 10)
    assert chosen == limit_records(records, 10) and chosen == sorted(chosen, key=lambda record: record.name)
    assert chosen != records[:10] and set(chosen) <= set(limit_records(records, 20))
    assert limit_records(records, None) == records == limit_records(records, 999)
    with pytest.raises(ValueError, match="limit=0"):
        limit_records(records, 0)


def test_label_fraction_withholds_a_fixed_choice_of_labels(m2fp_folder: Path) -> None:
    records = m2fp_records(m2fp_folder, "Training")
    (half, withheld), (most, few) = take_labels(records, 0.5), take_labels(records, 0.8)
    assert [len(side) for side in (half, withheld, most, few)] == [3, 3, 5, 1]
    assert set(half) <= set(most) <= set(records)
    assert {record.name for record in [*half, *withheld]} == {record.name for record in records}
    assert not any(record.categories or record.persons or record.instances for record in withheld)
    assert take_labels(records, None) == (records, []) and take_labels(records, 1) == (records, [])
    for fraction in (0, 1.5):
        with pytest.raises(ValueError, match=r"label_fraction=.* must be above 0 and at most 1"):
            take_labels(records, fraction)


def test_real_layouts(real_data) -> None:
    assert len(m2fp_records(real_data("pascal-person-part"), "Training")) == 1716
    assert len(m2fp_records(real_data("cihp-mini"), "Training")) == 69
    clothing = ccp_records(real_data("clothing-co-parsing"))
    assert len(clothing) == 1200 and sum(record.categories is not None for record in clothing) == 900


def test_photos_in_subfolders_are_named_by_their_path(tmp_path: Path) -> None:
    for name in ("b.jpg", "summer/a.jpg", "summer/b.png", ".hidden/c.jpg", "summer/notes.txt"):
        touch(tmp_path / name)
    assert [record.name for record in photo_records(tmp_path)] == ["b", "summer/a", "summer/b"]
    touch(tmp_path / "summer" / "a.png")
    with pytest.raises(LayoutError, match=r"has both a.jpg and a.png; keep one"):
        photo_records(tmp_path)


def test_a_name_of_any_bytes_is_held_out_or_not() -> None:
    records = records_named([os.fsdecode(f"照片{number}".encode("gbk")) for number in range(100)])
    train, held_out = split_records(records)
    assert train and held_out and len(train) + len(held_out) == 100
