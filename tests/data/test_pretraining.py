"""Which photos a backbone is pretrained on, and their batches."""

import logging
import shutil
from pathlib import Path

import pytest
import torch

from m2fp_kd.data.augmentation import Augmentation
from m2fp_kd.data.pretraining import PhotoDataModule, pretraining_splits
from m2fp_kd.data.splits import Splits, ccp_splits, m2fp_splits, synthetic_splits
from m2fp_kd.labels import LABEL_SETS


def images(splits: Splits) -> list[Path]:
    """The files of the photos to train and validate on."""
    return sorted(record.image for record in [*splits.train, *splits.val])  # type: ignore[operator]


def test_several_folders_are_joined_with_their_subfolders(m2fp_folder: Path) -> None:
    folders = [m2fp_folder / split / "Images" for split in ("Training", "Validation")]
    (folders[0] / "deep").mkdir()
    shutil.copy(next(folders[1].iterdir()), folders[0] / "deep")
    found = pretraining_splits([], folders)
    assert images(found) == sorted(path for folder in folders for path in folder.rglob("*.jpg"))
    assert len(found.val) > 0 and not found.test and not found.unlabelled


def test_labels_are_left_out_and_drawn_scenes_too(m2fp_folder: Path) -> None:
    records = pretraining_splits([m2fp_splits(m2fp_folder, "Validation")])
    assert images(records) == sorted((m2fp_folder / "Training" / "Images").iterdir())
    assert all(record.categories is None and record.persons is None for record in records.train)  # type: ignore[union-attr]
    assert images(pretraining_splits([synthetic_splits(32)], m2fp_folder / "Training" / "Images")) == images(records)


def test_photos_that_the_set_validates_or_tests_on_are_never_used(
    ccp_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, path in enumerate(sorted((ccp_folder / "photos").iterdir())):
        path.write_bytes(path.read_bytes() + bytes([number]))  # the photos differ
    splits = ccp_splits(ccp_folder)
    copies = tmp_path / "copies"
    copies.mkdir()
    for record in [*splits.train[:3], *splits.val, *splits.test]:  # type: ignore[index]
        shutil.copy(record.image, copies / f"copy-of-{record.name}.jpg")
    with caplog.at_level(logging.INFO):
        found = pretraining_splits([synthetic_splits(32), splits], [copies, "own"])
    held_out = {record.image.read_bytes() for record in [*splits.val, *splits.test]}  # type: ignore[union-attr]
    assert held_out and not held_out & {path.read_bytes() for path in images(found)}
    assert len(images(found)) == len(splits.train) + len(splits.unlabelled) + 3
    assert f"left out {len(held_out)} photos of data.unlabelled" in caplog.text


def test_no_photos_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no photos to pretrain on; give data\.unlabelled=\[DIR,DIR\] or .*data\.root"
    ):
        pretraining_splits([])
    with pytest.raises(FileNotFoundError, match=r"gone does not exist; check data\.unlabelled"):
        pretraining_splits([], [tmp_path / "gone"])


def test_training_photos_are_augmented_and_validation_photos_are_whole(m2fp_folder: Path) -> None:
    folders = [m2fp_folder / split / "Images" for split in ("Training", "Validation")]
    splits = pretraining_splits([], folders)
    augmentation = Augmentation(scale=(2.0, 2.0), rotation=0)
    module = PhotoDataModule(splits, LABEL_SETS["cihp"], 64, 2, augmentation=augmentation)
    module.setup("fit")
    training, validation = next(iter(module.train_dataloader())), list(module.val_dataloader())
    assert training["images"].shape == (2, 3, 64, 64) and training["valid"].all()  # twice the size: no padding
    assert sum(len(batch["images"]) for batch in validation) == len(splits.val)
    for batch in validation:  # 48 x 64 pixels on a square
        assert batch["valid"].float().mean() == pytest.approx(48 / 64)
    again = list(module.val_dataloader())
    assert all(torch.equal(a["images"], b["images"]) for a, b in zip(validation, again, strict=True))
