"""Training photos without labels: their number, their choice, and their effect on the losses."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from m2fp_kd.data.augmentation import Augmentation
from m2fp_kd.data.datamodule import ParsingDataModule, data_module
from m2fp_kd.data.splits import ccp_splits, m2fp_splits
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache, entry
from m2fp_kd.distill.losses.ce import Ce
from m2fp_kd.distill.losses.jaccard import Jaccard
from m2fp_kd.labels import LABEL_SETS, find_bridge
from m2fp_kd.models.outputs import StudentOutput
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry, place, read_photo

CIHP = LABEL_SETS["cihp"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five photos without labels."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 56, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"bare{number}.png")
    return folder


def data(root: Path, **options: Any) -> ParsingDataModule:
    return data_module(m2fp_splits(root, "Validation"), "cihp", 32, 2, augmentation=Augmentation(), **options)


def epoch_of(module: ParsingDataModule, epoch: int) -> list[dict[str, Any]]:
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def names(module: ParsingDataModule, epoch: int) -> list[str]:
    return [name for batch in epoch_of(module, epoch) for name in batch["names"]]


@pytest.mark.parametrize(("ratio", "expected"), [(None, 5), (0.25, 2), (0.4, 4), (0.7, 14), (0, 0)])
def test_the_ratio_is_exact_in_every_epoch(m2fp_folder: Path, folder: Path, ratio: float | None, expected: int) -> None:
    module = data(m2fp_folder, unlabelled=folder, unlabelled_ratio=ratio)
    module.batch_size = 1  # an incomplete last batch is dropped
    module.setup("fit")
    for epoch in range(4):
        seen = names(module, epoch)
        assert sum(name.startswith("bare") for name in seen) == expected and len(seen) == 6 + expected


def test_no_unlabelled_photo_is_repeated_before_all_were_seen(m2fp_folder: Path, folder: Path) -> None:
    module = data(m2fp_folder, unlabelled=folder, unlabelled_ratio=0.25)
    drawn = [name for epoch in range(5) for name in names(module, epoch) if name.startswith("bare")]
    assert {drawn.count(f"bare{number}") for number in range(5)} == {2}
    assert sorted(drawn[:5]) == [f"bare{number}" for number in range(5)]


def test_batches_depend_on_seed_and_epoch_only(m2fp_folder: Path, folder: Path) -> None:
    used, fresh = (data(m2fp_folder, unlabelled=folder, unlabelled_ratio=0.7) for _ in range(2))
    names(used, 0)
    for expected, batch in zip(epoch_of(used, 3), epoch_of(fresh, 3), strict=True):
        assert expected["names"] == batch["names"] and torch.equal(expected["images"], batch["images"])
    assert names(data(m2fp_folder, unlabelled=folder, unlabelled_ratio=0.7, seed=1), 3) != names(fresh, 3)


def test_a_photo_that_occurs_twice_in_an_epoch_is_augmented_differently(m2fp_folder: Path, folder: Path) -> None:
    module = data(m2fp_folder, unlabelled=folder, unlabelled_ratio=0.7)
    crops: dict[str, list[Tensor]] = {}
    for batch in epoch_of(module, 0):
        for name, image in zip(batch["names"], batch["images"], strict=True):
            crops.setdefault(name, []).append(image)
    assert len(crops["bare0"]) > 1 and not torch.equal(crops["bare0"][0], crops["bare0"][1])


def test_hard_terms_learn_nothing_from_unlabelled_photos(m2fp_folder: Path, folder: Path) -> None:
    module = data(m2fp_folder, unlabelled=folder)
    batches = epoch_of(module, 0)
    assert all({"persons", "instances"} <= set(batch) for batch in batches)
    mixed = next(batch for batch in batches if len({name[:4] for name in batch["names"]}) == 2)
    bare = [index for index, name in enumerate(mixed["names"]) if name.startswith("bare")]
    assert (mixed["parts"][bare] == CIHP.ignore_index).all() and not mixed["persons"][bare].any()
    for term in (Ce(CIHP), Jaccard(CIHP)):
        logits = torch.randn(2, 20, 8, 8, requires_grad=True)
        term(StudentOutput(logits), mixed, None).backward()
        assert logits.grad is not None and not logits.grad[bare].any()
        assert logits.grad.any()


def test_photos_with_withheld_labels_are_trained_on_unless_the_ratio_is_0(m2fp_folder: Path) -> None:
    module, baseline = (data(m2fp_folder, label_fraction=0.5, unlabelled_ratio=ratio) for ratio in (None, 0))
    assert sorted(names(module, 0)) == [f"{number:08d}" for number in range(6)]
    labelled = {record.name for record in module.train}
    for batch in epoch_of(module, 1):
        for name, parts in zip(batch["names"], batch["parts"], strict=True):
            assert bool((parts != CIHP.ignore_index).any()) == (name in labelled)
    baseline.batch_size = 1
    assert set(names(baseline, 0)) == labelled and baseline.val == module.val == data(m2fp_folder).val
    assert module.needs_teacher and not baseline.needs_teacher


def test_the_cache_covers_them(
    m2fp_folder: Path, folder: Path, tmp_path: Path, scene_log_parts: Callable[..., np.ndarray]
) -> None:
    module = data(m2fp_folder, unlabelled=folder, unlabelled_ratio=0.25)
    module.cache = TeacherCache(tmp_path / "cache", "00" * 32)
    target = scene_log_parts(0, CIHP.flip_permutation, 0.1, 32)[:, :, :8, :8]
    for record in module.records:
        if not record.name.startswith("bare"):
            _, placement = place(read_photo(record.image), Geometry(32))
            module.cache.append(record.name, entry(target, placement, file_sha256(record.image)))
    with pytest.raises(CacheError, match=r"no target of 5 of 14 photos \(bare0"):
        module.setup("fit")
    for record in module.unlabelled:
        _, placement = place(read_photo(record.image), Geometry(32))
        module.cache.append(record.name, entry(target, placement, file_sha256(record.image)))
    module.setup("fit")
    assert all(batch["log_parts"].shape[1:] == (20, 8, 8) for batch in epoch_of(module, 0))


def test_copies_of_validation_photos_are_left_out(
    m2fp_folder: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, path in enumerate(sorted((m2fp_folder / "Validation" / "Images").iterdir())):
        shutil.copy(path, folder / f"copy{number}.jpg")
    training = sorted((m2fp_folder / "Training" / "Images").iterdir())[0]
    (folder / "longer.jpg").write_bytes(training.read_bytes() + b"0")
    with caplog.at_level("INFO"):
        module = data(m2fp_folder, unlabelled=folder)
    assert sorted(record.name for record in module.unlabelled) == [*(f"bare{n}" for n in range(5)), "longer"]
    assert "left out 3 photos of data.unlabelled" in caplog.text


def test_photos_that_share_a_name_are_refused(m2fp_folder: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "bare0.png").rename(folder / "00000100.png")
    module = data(m2fp_folder, unlabelled=folder)
    module.cache = TeacherCache(tmp_path / "cache", "00" * 32)
    with pytest.raises(CacheError, match=r"unlabelled or validation photos share a name: 00000100"):
        module.setup("fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unlabelled_ratio": 0.25}, r"needs unlabelled photos; give data\.unlabelled=FOLDER"),
        ({"unlabelled_ratio": 1.0, "label_fraction": 0.5}, "must be at least 0 and below 1"),
        ({"unlabelled_ratio": -0.1, "label_fraction": 0.5}, "must be at least 0 and below 1"),
    ],
)
def test_impossible_ratios_are_refused(m2fp_folder: Path, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data(m2fp_folder, **options)


def test_a_bridge_that_divides_parts_gives_no_pseudo_labels(m2fp_folder: Path, folder: Path, tmp_path: Path) -> None:
    module = data(m2fp_folder, unlabelled=folder)
    module.pseudo_labels = True
    bridge = find_bridge(CIHP, LABEL_SETS["pascal_person_part"])
    module.cache = TeacherCache(tmp_path / "cache", "00" * 32, bridge)
    with pytest.raises(ValueError, match=r"cihp -> pascal_person_part divides .*left-arm.*pseudo_labels=false"):
        module.setup("fit")


def test_clothing_co_parsings_own_unlabelled_photos(real_data: Callable[[str], Path]) -> None:
    splits = ccp_splits(real_data("clothing-co-parsing"))
    module = data_module(splits, "ccp", 64, 8, unlabelled="own")
    assert len(module.unlabelled) == 300 and len(module.train) + len(module.val) + len(module.test) == 900
    assert not {record.name for record in module.unlabelled} & {record.name for record in module.train}
    quarter = data_module(splits, "ccp", 64, 8, unlabelled="own", unlabelled_ratio=0.25)
    assert quarter.drawn == round(len(quarter.train) / 3)
