"""Items and batches of training and validation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from m2fp_kd.data.augmentation import NO_AUGMENTATION, Augmentation
from m2fp_kd.data.dataset import DrawnPhotos, StoredPhotos, TrainingPhotos, WholePhotos, collate
from m2fp_kd.data.layouts import Record, m2fp_records, photo_records
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache, entry
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry, place, read_photo

CIHP = LABEL_SETS["cihp"]


@pytest.fixture
def records(m2fp_folder: Path) -> list[Record]:
    return m2fp_records(m2fp_folder, "Training")[:2]


@pytest.fixture
def cache(tmp_path: Path, records: list[Record], scene_log_parts: Callable[..., np.ndarray]) -> TeacherCache:
    """Targets on a canvas of 128 x 128."""
    cache = TeacherCache(tmp_path / "cache", "00" * 32)
    for seed, record in enumerate(records):
        _, placement = place(read_photo(record.image), Geometry(128))
        cache.append(
            record.name,
            entry(scene_log_parts(seed, CIHP.flip_permutation, 0.1, 32), placement, file_sha256(record.image)),
        )
    return cache


def test_training_item(records: list[Record], cache: TeacherCache) -> None:
    photos = TrainingPhotos(StoredPhotos(records, CIHP, cache), CIHP, 64, Augmentation(), seed=0)
    item = photos[3, 1]
    shapes = {key: (tuple(value.shape), value.dtype) for key, value in item.items() if key != "names"}
    assert shapes == {
        "images": ((3, 64, 64), torch.uint8),
        "valid": ((16, 16), torch.bool),
        "log_parts": ((20, 16, 16), torch.float32),
        "parts": ((64, 64), torch.uint8),
        "persons": ((64, 64), torch.int32),
        "instances": ((64, 64), torch.int32),
    }
    assert item["names"] == "00000001"
    assert torch.allclose(item["log_parts"].exp().sum(dim=0), torch.ones(16, 16), atol=1e-5)


def test_items_are_functions_of_seed_epoch_and_index(records: list[Record]) -> None:
    def images(seed: int, epoch: int, index: int) -> torch.Tensor:
        return TrainingPhotos(StoredPhotos(records, CIHP), CIHP, 64, Augmentation(), seed)[epoch, index]["images"]

    reference = images(0, 5, 1)
    assert torch.equal(images(0, 5, 1), reference)
    for other in ((1, 5, 1), (0, 6, 1), (0, 5, 0)):
        assert not torch.equal(images(*other), reference)


def test_a_mirrored_photo_gets_the_cached_target_of_the_mirrored_orientation(
    records: list[Record], cache: TeacherCache
) -> None:
    plain, mirrored = (
        TrainingPhotos(
            StoredPhotos(records, CIHP, cache), CIHP, 128, Augmentation((1, 1), 0, 0, flip, 0), seed=0
        )[0, 0]
        for flip in (0.0, 1.0)
    )  # fmt: skip
    log_parts, placement = cache.read(records[0].name, file_sha256(records[0].image))
    rows = placement.content[0] // 4
    top = int(plain["valid"].any(dim=1).nonzero()[0, 0])
    for item, expected in ((plain, log_parts[0]), (mirrored, log_parts[1])):
        inside = item["log_parts"][:, top + 1 : top + rows - 1]
        assert (inside.argmax(dim=0).numpy() == expected.argmax(axis=0)[1 : rows - 1]).mean() > 0.9


def test_unlabelled_photos_are_ignored_or_take_the_teachers_labels(records: list[Record], cache: TeacherCache) -> None:
    bare = photo_records(records[0].image.parent)[:2]
    ignored = TrainingPhotos(StoredPhotos(bare, CIHP), CIHP, 64, Augmentation(), seed=0)[0, 0]
    assert (ignored["parts"] == 255).all() and "persons" not in ignored
    labelled = TrainingPhotos(StoredPhotos(bare, CIHP, cache), CIHP, 64, Augmentation(), 0, pseudo_labels=True)
    truth = TrainingPhotos(StoredPhotos(records, CIHP), CIHP, 64, Augmentation(), 0)
    for epoch in range(4):
        item = labelled[epoch, 0]
        assert torch.equal(item["parts"] == 255, truth[epoch, 0]["parts"] == 255)
        cells = item["parts"][1::4, 1::4]
        known = cells != 255
        assert (cells == item["log_parts"].argmax(dim=0))[known].float().mean() > 0.8


def test_validation_item_is_the_placed_photo_with_its_labels(records: list[Record], cache: TeacherCache) -> None:
    item = WholePhotos(StoredPhotos(records, CIHP, cache), CIHP, Geometry(128))[0]
    canvas, placement = place(read_photo(records[0].image), Geometry(128))
    assert np.array_equal(item["images"].permute(1, 2, 0), canvas) and item["placements"] == placement
    assert item["truth"].shape == (48, 64) and item["truth"].dtype == np.uint8


def test_unlabelled_photos_are_validated_against_the_teacher(records: list[Record], cache: TeacherCache) -> None:
    bare = photo_records(records[0].image.parent)[:1]
    item = WholePhotos(StoredPhotos(bare, CIHP, cache), CIHP, Geometry(128), pseudo_labels=True)[0]
    assert item["truth"].shape == (48, 64) and item["truth"].dtype == np.uint8 and item["truth"].max() < 20
    with pytest.raises(ValueError, match="00000000 has no labels"):
        WholePhotos(StoredPhotos(bare, CIHP), CIHP, Geometry(128))[0]


def test_stale_target_is_an_error_in_training(records: list[Record], cache: TeacherCache) -> None:
    photos = TrainingPhotos(StoredPhotos(records, CIHP, cache), CIHP, 64, NO_AUGMENTATION, 0)
    records[0].image.write_bytes(records[1].image.read_bytes())
    with pytest.raises(CacheError, match="made from another photo"):
        photos[0, 0]


def test_drawn_scenes_are_new_in_every_epoch() -> None:
    photos = TrainingPhotos(DrawnPhotos(3, 64, (1, 1), (0, 0)), CIHP, 64, NO_AUGMENTATION, 0)
    first, again, later = photos[0, 2], photos[0, 2], photos[1, 2]
    assert torch.equal(first["images"], again["images"]) and not torch.equal(first["images"], later["images"])
    assert torch.equal(first["parts"] > 0, first["persons"] > 0) and first["instances"].max() > 1


def test_collate_stacks_tensors_and_lists_the_rest() -> None:
    batch = collate([{"images": torch.zeros(3, 2, 2), "names": "a"}, {"images": torch.ones(3, 2, 2), "names": "b"}])
    assert batch["images"].shape == (2, 3, 2, 2) and batch["names"] == ["a", "b"]


def test_real_photos(real_data) -> None:
    labels = LABEL_SETS["pascal_person_part"]
    records = m2fp_records(real_data("pascal-person-part"), "Training")[:8]
    photos = TrainingPhotos(StoredPhotos(records, labels), labels, 128, Augmentation(), 0)
    batch = collate([photos[0, index] for index in range(8)])
    assert batch["images"].shape == (8, 3, 128, 128) and batch["parts"].unique().numel() > 3
