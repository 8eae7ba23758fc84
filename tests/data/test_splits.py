"""Every layout divides its photos by use, and the choice among training photos is fixed."""

from pathlib import Path

import pytest

from m2fp_kd.data.dataset import DrawnPhotos
from m2fp_kd.data.layouts import LayoutError, m2fp_records
from m2fp_kd.data.splits import Splits, ccp_splits, m2fp_splits, photo_splits, select, synthetic_splits


def names(records: object) -> set[str]:
    return {record.name for record in records}  # type: ignore[attr-defined]


def test_m2fps_layout_uses_the_splits_on_disk(m2fp_folder: Path) -> None:
    splits = m2fp_splits(m2fp_folder, "Validation", "Validation")
    assert splits.train == m2fp_records(m2fp_folder, "Training")
    assert splits.val == splits.test == m2fp_records(m2fp_folder, "Validation") and not splits.unlabelled


def test_without_a_validation_split_a_fixed_part_is_held_out(m2fp_folder: Path) -> None:
    held = m2fp_splits(m2fp_folder)
    assert names([*held.train, *held.val]) == {f"{seed:08d}" for seed in range(6)}
    assert 0 < len(held.val) < 6 and held.test == () and held == m2fp_splits(m2fp_folder)
    numbered = m2fp_splits(m2fp_folder, held_out=4)
    assert (len(numbered.train), len(numbered.val)) == (2, 4)


def test_clothing_co_parsing_is_divided_in_three_and_keeps_its_unlabelled_photos(ccp_folder: Path) -> None:
    splits = ccp_splits(ccp_folder)
    sides = [names(side) for side in (splits.train, splits.val, splits.test)]
    assert sum(map(len, sides)) == 50 == len(set.union(*sides)) and min(map(len, sides)) > 0
    assert names(splits.unlabelled) == {f"{number:04d}" for number in range(50, 60)}


def test_a_folder_of_photos_is_validated_on_its_own_tenth_or_on_labelled_photos(m2fp_folder: Path) -> None:
    folder = m2fp_folder / "Training" / "Images"
    own, labelled = photo_splits(folder), photo_splits(folder, val_root=m2fp_folder)
    assert names(own.train) | names(own.val) == names(labelled.train) and own.val
    assert labelled.val == m2fp_records(m2fp_folder, "Validation")
    assert len(photo_splits(folder, held_out=2).val) == 2
    with pytest.raises(LayoutError, match="does not exist"):
        photo_splits(folder / "nowhere")


def test_synthetic_scenes_are_validated_on_others_or_on_labelled_photos(m2fp_folder: Path) -> None:
    drawn = synthetic_splits(32, length=4, val_length=3)
    assert isinstance(drawn.val, DrawnPhotos) and (len(drawn.train), len(drawn.val)) == (4, 3)
    assert drawn.train.photo(0, 0).name != drawn.val.photo(0, 0).name
    assert len(synthetic_splits(32, val_root=m2fp_folder).val) == 3


def test_unlabelled_photos_come_from_the_set_a_folder_or_nowhere(ccp_folder: Path, m2fp_folder: Path) -> None:
    splits, folder = ccp_splits(ccp_folder), m2fp_folder / "Training" / "Images"
    assert not select(splits).unlabelled
    assert names(select(splits, unlabelled="own").unlabelled) == names(splits.unlabelled)
    assert names(select(splits, unlabelled=folder).unlabelled) == {f"{seed:08d}" for seed in range(6)}
    with pytest.raises(ValueError, match=r"no unlabelled photos of its own; give data\.unlabelled=FOLDER"):
        select(m2fp_splits(m2fp_folder), unlabelled="own")


def test_limit_and_label_fraction_choose_among_training_photos_only(ccp_folder: Path) -> None:
    splits = ccp_splits(ccp_folder)
    limited = select(splits, limit=20)
    assert len(limited.train) == 20 and (limited.val, limited.test) == (splits.val, splits.test)
    half = select(splits, limit=20, label_fraction=0.5, unlabelled="own")
    assert len(half.train) == 10 and names(half.train) < names(limited.train)
    assert names(half.unlabelled) == names(limited.train) - names(half.train) | names(splits.unlabelled)
    assert not any(record.categories for record in half.unlabelled)


@pytest.mark.parametrize("options", [{"limit": 3}, {"label_fraction": 0.5}, {"unlabelled": "own"}])
def test_options_that_choose_photos_are_refused_for_drawn_scenes(options: dict) -> None:
    splits = synthetic_splits(32)
    assert select(splits) is splits
    with pytest.raises(ValueError, match=r"leave out data\.module\.limit"):
        select(splits, **options)


def test_label_fraction_needs_labels(m2fp_folder: Path) -> None:
    splits = photo_splits(m2fp_folder / "Training" / "Images")
    with pytest.raises(ValueError, match=r"data\.label_fraction=0\.5 needs labelled training photos"):
        select(splits, label_fraction=0.5)


def test_a_wrong_folder_of_unlabelled_photos_is_named_with_its_option(m2fp_folder: Path, tmp_path: Path) -> None:
    splits = Splits(m2fp_records(m2fp_folder, "Training"), ())
    with pytest.raises(LayoutError, match=r"does not exist; check data\.unlabelled"):
        select(splits, unlabelled=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LayoutError, match=r"has no .*file; check data\.unlabelled"):
        select(splits, unlabelled=tmp_path / "empty")
