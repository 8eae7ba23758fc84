"""Every batch of the data module is a function of (seed, epoch, index), for any workers and interruptions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from m2fp_kd.data.augmentation import Augmentation
from m2fp_kd.data.datamodule import ParsingDataModule, data_module
from m2fp_kd.data.sampling import EpochSampler
from m2fp_kd.data.splits import ccp_splits, m2fp_splits, photo_splits, synthetic_splits
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache, entry
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry, place, read_photo
from tests.data.recorder import Recorder


def data(root: Path, **options: Any) -> ParsingDataModule:
    options = {"augmentation": Augmentation(), "batch_size": 2, **options}
    return data_module(m2fp_splits(root, "Validation"), "cihp", 32, **options)


def epoch_of(module: ParsingDataModule, epoch: int) -> list[dict[str, Any]]:
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def test_batches(m2fp_folder: Path) -> None:
    module = data(m2fp_folder)
    module.setup("fit")
    batches = epoch_of(module, 0)
    assert len(batches) == 3 and batches[0]["images"].shape == (2, 3, 32, 32)
    assert sorted(name for batch in batches for name in batch["names"]) == [f"{seed:08d}" for seed in range(6)]
    (first, second) = module.val_dataloader()
    assert [len(batch["truth"]) for batch in (first, second)] == [2, 1] and first["placements"][0].canvas == (32, 32)
    assert module.test_dataloader() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_depend_on_seed_and_epoch_only(m2fp_folder: Path, workers: int) -> None:
    reference, other = data(m2fp_folder), data(m2fp_folder, workers=workers)
    loader = other.train_dataloader()  # the same loader for both epochs: persistent workers must follow the epoch too
    orders = []
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        for expected, batch in zip(epoch_of(reference, epoch), loader, strict=True):
            assert batch["names"] == expected["names"] and torch.equal(batch["images"], expected["images"])
            orders.append(batch["names"])
    assert orders[:3] != orders[3:]
    assert [batch["names"] for batch in epoch_of(data(m2fp_folder, seed=1), 0)] != orders[:3]


def test_fewer_photos_than_a_batch_still_train(m2fp_folder: Path) -> None:
    (batch,) = epoch_of(data(m2fp_folder, batch_size=16), 0)
    assert len(batch["names"]) == 6


def test_sampler_continues_within_an_epoch() -> None:
    whole, rest = EpochSampler(10, 0, epoch=4), EpochSampler(10, 0, epoch=4, done=6)
    assert list(rest) == list(whole)[6:] and {epoch for epoch, _ in whole} == {4}
    rest.set_epoch(5)
    whole.set_epoch(5)
    assert list(rest) == list(whole) and len(rest) == 10


def fit(
    root: Path,
    folder: Path,
    workers: int,
    every: dict[str, int],
    stop_at: int | None,
    resume: bool,
    **options: Any,
) -> Recorder:
    module = Recorder(stop_at)
    checkpoint = pl.callbacks.ModelCheckpoint(folder, save_last=True, save_top_k=-1, **every)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=3, callbacks=[checkpoint], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    path = str(folder / "last.ckpt") if resume else None
    trainer.fit(module, datamodule=data(root, workers=workers, **options), ckpt_path=path, weights_only=True)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("workers", "every", "stop_at"),
    [
        (0, {"every_n_train_steps": 1}, 4),
        pytest.param(1, {"every_n_train_steps": 1}, 5, marks=pytest.mark.long),
        (1, {"every_n_epochs": 1}, 7),
    ],
)
def test_a_resumed_run_sees_the_same_batches_and_ends_in_the_same_weights(
    m2fp_folder: Path, tmp_path: Path, workers: int, every: dict[str, int], stop_at: int
) -> None:
    whole = fit(m2fp_folder, tmp_path / "whole", 0, every, None, resume=False)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(m2fp_folder, tmp_path / "cut", workers, every, stop_at, resume=False)
    resumed = fit(m2fp_folder, tmp_path / "cut", workers, every, None, resume=True)
    begin = stop_at if "every_n_train_steps" in every else stop_at // 3 * 3
    assert resumed.seen == whole.seen[begin:] and len(whole.seen) == 9
    assert torch.equal(resumed.weight, whole.weight)


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_draws_the_same_unlabelled_photos(m2fp_folder: Path, tmp_path: Path) -> None:
    mixed = {"label_fraction": 0.5, "unlabelled_ratio": 0.4}  # 3 labelled photos, 2 of 3 others, 2 steps an epoch
    every = {"every_n_train_steps": 1}
    whole = fit(m2fp_folder, tmp_path / "whole", 0, every, None, False, **mixed)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(m2fp_folder, tmp_path / "cut", 0, every, 3, False, **mixed)
    resumed = fit(m2fp_folder, tmp_path / "cut", 0, every, None, True, **mixed)
    assert resumed.seen == whole.seen[3:] and len(whole.seen) == 6
    assert torch.equal(resumed.weight, whole.weight)


def fill(cache: TeacherCache, module: ParsingDataModule, target: np.ndarray) -> None:
    for record in [*module.train, *module.val]:
        _, placement = place(read_photo(record.image), Geometry(32))
        cache.append(record.name, entry(target, placement, file_sha256(record.image)))


def test_cached_targets_reach_training(
    m2fp_folder: Path, tmp_path: Path, scene_log_parts: Callable[..., np.ndarray]
) -> None:
    module = data(m2fp_folder)
    module.cache = TeacherCache(tmp_path / "cache", "00" * 32)
    with pytest.raises(CacheError, match=r"no target of 9 of 9 photos \(00000000, .*\.\.\.\); build the cache"):
        module.setup("fit")
    fill(module.cache, module, scene_log_parts(0, tuple(range(20)), 0.1, 32)[:, :, :8, :8])
    module.setup("fit")
    assert epoch_of(module, 0)[0]["log_parts"].shape == (2, 20, 8, 8)


def test_clothing_co_parsings_own_photos_join_training(ccp_folder: Path) -> None:
    module = data_module(ccp_splits(ccp_folder), "ccp", 32, 4, unlabelled="own")
    module.setup("fit")
    parts = torch.cat([batch["parts"] for batch in epoch_of(module, 0)])
    assert len(module.unlabelled) == 10 and set(parts.unique().tolist()) == {1, 255}


def test_unlabelled_photos_need_labels_to_validate_on(m2fp_folder: Path) -> None:
    folder = m2fp_folder / "Training" / "Images"
    soft = data_module(photo_splits(folder), "cihp", 32, 2)
    assert (epoch_of(soft, 0)[0]["parts"] == 255).all()
    with pytest.raises(ValueError, match=r"validation or test photos have no labels \(.*data\.splits\.val_root=FOLDER"):
        soft.setup("fit")
    data_module(photo_splits(folder, val_root=m2fp_folder), "cihp", 32, 2).setup("fit")


def test_pseudo_labels_need_a_cache(m2fp_folder: Path) -> None:
    module = data_module(photo_splits(m2fp_folder / "Training" / "Images"), "cihp", 32, 2, pseudo_labels=True)
    with pytest.raises(ValueError, match="pseudo_labels=true takes labels from a teacher's cache"):
        module.setup("fit")


def test_synthetic_scenes(m2fp_folder: Path) -> None:
    module = data_module(synthetic_splits(32, length=4, persons=[1, 2], val_length=3), "cihp", 32, 2)
    module.setup("fit")
    first, later = epoch_of(module, 0), epoch_of(module, 1)
    assert len(first) == 2 and {"persons", "instances"} <= first[0].keys()
    assert not {name for batch in first for name in batch["names"]} & {
        name for batch in later for name in batch["names"]
    }
    assert sum(len(batch["names"]) for batch in module.val_dataloader()) == 3
    module.cache = TeacherCache(m2fp_folder / "cache", "00" * 32)
    with pytest.raises(CacheError, match="use teacher=live"):
        module.setup("fit")


def test_nothing_to_validate_on_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no photos to validate on; give data\.splits\.val_root=FOLDER"):
        data_module(synthetic_splits(32, val_length=0), "cihp", 32, 2).setup("fit")


def test_synthetic_scenes_have_cihps_parts_only() -> None:
    with pytest.raises(ValueError, match="CIHP's parts, not those of 'lip'"):
        data_module(synthetic_splits(32), "lip", 32, 2)


def test_size_must_fit_the_network(m2fp_folder: Path) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        data_module(m2fp_splits(m2fp_folder), "cihp", 40, 2)
