"""Training from shards, compared with training from the same files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import pytorch_lightning as pl
import torch

from m2fp_kd.data.augmentation import Augmentation
from m2fp_kd.data.datamodule import data_module
from m2fp_kd.data.sharded import photos as sharded_photos
from m2fp_kd.data.sharded.datamodule import ShardedDataModule, shard_splits, sharded_data_module
from m2fp_kd.data.sharded.urls import ShardError, open_file
from m2fp_kd.data.sharded.writing import make, plan
from m2fp_kd.data.splits import m2fp_splits
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache, entry
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry, place, read_photo
from tests.data.recorder import Recorder

SIZE = 32


def from_shards(folder: str | Path, unpack_to: Path, **options: Any) -> ShardedDataModule:
    splits = shard_splits(f"{folder}/train-{{000000..000002}}.tar", f"{folder}/val-*.tar", "cihp", unpack_to)
    return sharded_data_module(splits, "cihp", SIZE, 2, augmentation=Augmentation(), **options)


def names(module: ShardedDataModule) -> list[list[str]]:
    return [batch["names"] for batch in module.train_dataloader()]


def test_photos_are_those_of_the_files(shards: Path, m2fp_folder: Path, tmp_path: Path) -> None:
    module = from_shards(shards, tmp_path / "val")
    files = data_module(m2fp_splits(m2fp_folder, "Validation"), "cihp", SIZE, 2)
    ours, theirs = module.train, files.training_photos()
    stored = {photo.name: photo for photo in (theirs.photo(0, index) for index in range(6))}
    for index in range(6):
        photo = ours.photo(0, index)
        for field in ("image", "parts", "persons", "instances"):
            assert (getattr(photo, field) == getattr(stored[photo.name], field)).all()
    assert module.has_persons and not module.needs_teacher
    for mine, its in zip(module.val_dataloader(), files.val_dataloader(), strict=True):
        assert mine["names"] == its["names"] and torch.equal(mine["images"], its["images"])


def test_an_epoch_has_every_photo_once_in_an_order_of_its_own(shards: Path, tmp_path: Path) -> None:
    module = from_shards(shards, tmp_path / "val")
    loader = module.train_dataloader()
    epochs = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        epochs.append([name for batch in loader for name in batch["names"]])
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(f"{seed:08d}" for seed in range(6))
    assert epochs[0] != epochs[1]


def test_workers_read_the_same_batches_that_the_sampler_orders(shards: Path, tmp_path: Path) -> None:
    module = from_shards(shards, tmp_path / "val", workers=2)
    loader = module.train_dataloader()
    expected = [module.train.photo(0, index).name for _, index in loader.sampler]
    assert [name for batch in loader for name in batch["names"]] == expected


def test_an_interrupted_epoch_continues_with_its_next_batch_and_opens_no_finished_shard(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def recorded(url: str) -> Any:
        opened.append(url)
        return open_file(url)

    monkeypatch.setattr(sharded_photos, "open_file", recorded)
    module = from_shards(shards, tmp_path / "val", buffer=1)
    whole = list(module.train_dataloader())
    assert set(opened) == {str(shards / f"train-00000{number}.tar") for number in range(3)}
    module.load_state_dict({"epoch": 0, "batches": 2, "processes": [1, 1]})
    opened.clear()
    (last,) = module.train_dataloader()
    assert len(opened) <= 2
    assert last["names"] == whole[2]["names"]
    for field in ("images", "parts", "valid"):
        assert torch.equal(last[field], whole[2][field])


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_training_sees_the_same_batches_and_ends_in_the_same_weights(shards: Path, tmp_path: Path) -> None:
    def fit(folder: str, stop_at: int | None, resume: bool = False) -> Recorder:
        checkpoint = pl.callbacks.ModelCheckpoint(tmp_path / folder, save_last=True, every_n_train_steps=1)
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=3, callbacks=[checkpoint], logger=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0,
        )  # fmt: skip
        module, data = Recorder(stop_at), from_shards(shards, tmp_path / "val")
        trainer.fit(module, data, ckpt_path=str(tmp_path / folder / "last.ckpt") if resume else None, weights_only=True)
        return module

    whole = fit("whole", None)
    with pytest.raises(RuntimeError, match="power cut"):
        fit("cut", 4)
    resumed = fit("cut", None, resume=True)
    assert len(whole.seen) == 9 and resumed.seen == whole.seen[4:]
    assert torch.equal(resumed.weight, whole.weight)


def test_another_number_of_workers_in_the_middle_of_an_epoch_is_a_warning(
    shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = from_shards(shards, tmp_path / "val")
    module.load_state_dict({"epoch": 0, "batches": 1, "processes": [1, 4]})
    module.train_dataloader()
    assert "began with 1 processes of 4 workers" in caplog.text


@pytest.fixture
def in_memory() -> Iterator[Callable[[Path], str]]:
    """A function that copies the shards of a folder to the file system in memory and returns their address."""
    system = fsspec.filesystem("memory")

    def copy(folder: Path) -> str:
        for path in folder.iterdir():
            if path.is_file():
                system.pipe_file(f"/set/{path.name}", path.read_bytes())
        return "memory://set"

    yield copy
    system.rm("/set", recursive=True)


def test_shards_of_another_file_system_give_the_same_batches(
    shards: Path, in_memory: Callable[[Path], str], tmp_path: Path
) -> None:
    there = in_memory(shards)
    assert names(from_shards(there, tmp_path / "memory")) == names(from_shards(shards, tmp_path / "val"))
    with pytest.raises(ShardError, match=r"memory://set/none-\*.tar matches no file; check the pattern"):
        shard_splits("memory://set/none-*.tar", f"{there}/val-*.tar", "cihp", tmp_path)


def test_targets_of_a_cache_travel_in_the_shards(
    m2fp_folder: Path, in_memory: Callable[[Path], str], tmp_path: Path, scene_log_parts: Any
) -> None:
    labels, geometry = LABEL_SETS["cihp"], Geometry(SIZE)
    cache = TeacherCache(tmp_path / "cache", "ab" * 32)
    splits = m2fp_splits(m2fp_folder, "Validation")
    for seed, record in enumerate([*splits.train, *splits.val]):
        placement = place(read_photo(record.image), geometry)[1]
        log_parts = scene_log_parts(seed, labels.flip_permutation, size=32)[:, :, ::4, ::4]
        cache.append(record.name, entry(log_parts, placement, file_sha256(record.image), labels.flip_permutation))
    folder = tmp_path / "shards"
    make(plan(m2fp_folder, 0.014, cache=cache), folder, labels, cache)
    files = data_module(splits, "cihp", SIZE, 2, cache=cache)
    stored = files._photos(splits.train, cache)
    by_name = {record.name: stored.target(index)[0] for index, record in enumerate(splits.train)}
    for address in (folder, in_memory(folder)):
        module = from_shards(address, tmp_path / "val", cache=cache)
        module.setup()
        photos = module.train_dataloader().dataset.photos
        for index in range(len(photos)):
            assert (photos.target(index)[0] == by_name[photos.photo(0, index).name]).all()
        assert "log_parts" in next(iter(module.train_dataloader()))
    other = from_shards(folder, tmp_path / "val", cache=TeacherCache(tmp_path / "cache", "cd" * 32))
    with pytest.raises(CacheError, match=r"train-000000.tar has the targets of another teacher or geometry"):
        other.setup()


def test_options_that_choose_single_photos_are_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data.module.limit cannot choose photos of shards"):
        from_shards(shards, tmp_path / "val", limit=2)
