"""A mix: every photo has the labels and the table of its own source, in every part of an epoch."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from m2fp_kd.data.augmentation import Augmentation
from m2fp_kd.data.mix import MixedDataModule, mixed_data_module, mixture
from m2fp_kd.data.splits import Splits, ccp_splits, m2fp_splits, synthetic_splits
from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache
from m2fp_kd.labels import LABEL_SETS, find_part_sets

CIHP, PASCAL, CCP = LABEL_SETS["cihp"], LABEL_SETS["pascal_person_part"], LABEL_SETS["ccp"]
LEG, SHIRT = PASCAL.parts.index("upper-leg"), CCP.parts.index("shirt")
SOURCES = ("pascal", "ccp", "cihp", "scenes")
LABELS = {"pascal": PASCAL, "ccp": CCP, "cihp": CIHP, "scenes": CIHP}


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """PASCAL-Person-Part of nothing but upper legs, CCP of shirts, and CIHP with scenes; names repeat."""
    for number in range(40):
        image = np.full((48, 64, 3), number, np.uint8)
        for split, shade in (("Training", 50), ("Testing", 100)):
            write(tmp_path / "pascal" / split / "Images" / f"{number:04d}.jpg", image + np.uint8(shade))
            write(tmp_path / "pascal" / split / "Category_ids" / f"{number:04d}.png", np.full((48, 64), LEG, np.uint8))
        write(tmp_path / "ccp" / "photos" / f"{number:04d}.jpg", image)
        path = tmp_path / "ccp" / "annotations" / "pixel-level" / f"{number:04d}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path, {"groundtruth": np.full((48, 64), SHIRT, np.uint8)})
        photo = draw_scene(number, (48, 64), (1, 2))
        write(tmp_path / "cihp" / "Training" / "Images" / f"{number:04d}.png", photo.image)
        write(tmp_path / "cihp" / "Training" / "Category_ids" / f"{number:04d}.png", photo.parts)
        write(tmp_path / "cihp" / "Training" / "Human_ids" / f"{number:04d}.png", photo.persons.astype(np.uint8))
    return {name: tmp_path / name for name in ("pascal", "ccp", "cihp")}


def settings(folders: dict[str, Path], **ratios: float) -> dict[str, dict[str, Any]]:
    splits = {
        "pascal": m2fp_splits(folders["pascal"], test="Testing"),
        "ccp": ccp_splits(folders["ccp"]),
        "cihp": m2fp_splits(folders["cihp"], held_out=36),
        "scenes": synthetic_splits(32, length=6, val_length=2),
    }
    return {
        name: {"splits": splits[name], "labels": LABELS[name].name, "ratio": ratios.get(name, 1.0), "table": None}
        for name in SOURCES
    }


Make = Callable[..., MixedDataModule]


@pytest.fixture
def make(folders: dict[str, Path]) -> Make:
    def build(ratios: dict[str, float] | None = None, **options: Any) -> MixedDataModule:
        options = {"augmentation": Augmentation(), **options}
        return mixed_data_module(mixture(settings(folders, **(ratios or {})), "cihp"), "cihp", 32, 4, **options)

    return build


def epoch_of(module: MixedDataModule, epoch: int = 0) -> list[dict[str, Any]]:
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_photos_of_a_source_never_meet_the_table_of_another(make: Make, workers: int) -> None:
    module = make(workers=workers, epoch_length=32)
    module.setup("fit")
    seen = {name: set() for name in SOURCES}
    for batch in epoch_of(module):
        for index, number in enumerate(batch["source"].tolist()):
            name = SOURCES[number]
            table = find_part_sets(LABELS[name], CIHP)
            rows = len(table.sets)
            assert np.array_equal(batch["sets"][index, :rows], table.sets) and not batch["sets"][index, rows:].any()
            assert np.array_equal(batch["counts_as"][index], table.counts_as)
            stored = name in ("pascal", "ccp", "cihp")
            assert batch["names"][index].startswith(f"{name}-") == stored
            seen[name] |= set(batch["parts"][index].unique().tolist()) - {255}
        assert batch["images"].shape == (4, 3, 32, 32) and "persons" not in batch
    assert (seen["pascal"], seen["ccp"]) == ({LEG}, {CCP.parts.index("t-shirt")}) and len(seen["cihp"]) > 3


def test_sources_share_every_batch_in_proportion_to_their_ratios(make: Make) -> None:
    module = make({"pascal": 4.0, "ccp": 2.0, "cihp": 1.0, "scenes": 1.0}, epoch_length=32)
    for epoch in (0, 1):
        sources = torch.cat([batch["source"] for batch in epoch_of(module, epoch)]).tolist()
        assert [sources.count(number) for number in range(4)] == [16, 8, 4, 4]
        assert all(sources[begin : begin + 8].count(0) == 4 for begin in range(0, 32, 8))


def test_without_a_length_an_epoch_has_as_many_photos_as_the_sources(make: Make) -> None:
    module = make()
    total = sum(len(source.splits.train) for source in module.sources.values())
    assert abs(sum(pool.drawn for pool in module.pools) - total) <= 2


def test_a_repeated_photo_is_augmented_differently(make: Make) -> None:
    """Four training photos of CIHP are drawn eight times."""
    items = [
        (batch["names"][index], batch["images"][index])
        for batch in epoch_of(make(epoch_length=32))
        for index in range(4)
    ]
    items = [item for item in items if item[0].startswith("cihp-")]
    assert len(items) == 8 and len({name for name, _ in items}) == 4
    for position, (name, image) in enumerate(items):
        assert not any(other == name and torch.equal(image, pixels) for other, pixels in items[position + 1 :])


def test_batches_depend_on_seed_and_epoch_only(make: Make) -> None:
    first, again, other = (epoch_of(make(seed=seed, epoch_length=16), 1) for seed in (0, 0, 1))
    assert all(torch.equal(one["images"], two["images"]) for one, two in zip(first, again, strict=True))
    assert [batch["names"] for batch in first] != [batch["names"] for batch in other]


def test_validation_shows_every_source_in_its_own_labels(make: Make) -> None:
    module = make()
    module.setup("fit")
    batches = list(module.val_dataloader())
    sources = [name for batch in batches for name in batch["sources"]]
    assert set(batches[0]["sources"]) >= {"cihp"} and set(sources) == set(SOURCES)
    assert [sources.count(name) for name in SOURCES] == [len(module.sources[name].splits.val) for name in SOURCES]
    for batch in batches:
        for name, truth in zip(batch["sources"], batch["truth"], strict=True):
            assert name not in ("pascal", "ccp") or set(np.unique(truth)) == {LEG if name == "pascal" else SHIRT}
    tested = [name for batch in module.test_dataloader() for name in batch["sources"]]
    assert set(tested) == {"pascal", "ccp"} and tested.count("pascal") == 40


def test_only_photos_with_the_students_labels_keep_them_for_gates_and_scores(make: Make) -> None:
    module = make()
    for photos in (module.training_photos(), module.validation_photos()):
        found = [photos.photo(0, index) for index in range(len(photos))]
        labelled = {photo.name.split("-")[0] for photo in found if photo.parts is not None}
        assert "cihp" in labelled and not {"pascal", "ccp"} & labelled
        assert {"pascal", "ccp"} <= {photo.name.split("-")[0] for photo in found}


def test_every_source_with_photos_on_disk_is_scored_on_its_test_or_validation_photos(make: Make) -> None:
    scored = make().scored
    assert {name: {record.name.split("-")[0] for record in records} for name, records in scored.items()} == {
        name: {name} for name in ("pascal", "ccp", "cihp")
    }
    assert len(scored["pascal"]) == 40 and len(scored["cihp"]) == 36


def test_names_are_unique_over_the_sources(make: Make) -> None:
    names = [record.name for record in make().records]
    assert len(set(names)) == len(names) and not make().has_persons


def test_photos_that_another_source_tests_on_are_not_trained_on(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    sources = settings(folders)
    (shared, *others) = sources["ccp"]["splits"].train
    shutil.copy(sources["pascal"]["splits"].test[0].image, shared.image)
    with caplog.at_level("INFO"):
        found = mixture(sources, "cihp")
    assert [record.image for record in found["ccp"].splits.train] == [record.image for record in others]
    assert caplog.messages == ["left out 1 training photos of ccp: another source validates or tests on them"]
    sources["ccp"]["splits"] = Splits([shared], [])
    with pytest.raises(ValueError, match="'ccp' has no training photo that no other source validates or tests on"):
        mixture(sources, "cihp")


def test_scenes_have_no_cached_targets(make: Make, tmp_path: Path) -> None:
    module = make(cache=TeacherCache(tmp_path / "cache", "key"))
    with pytest.raises(CacheError, match=r"scenes of scenes are drawn on the fly.*use teacher=live"):
        module.setup("fit")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratio": 0}, r"data\.sources\.ccp\.ratio=0 must be above 0; leave the source out"),
        ({"ratio": -1.5}, r"data\.sources\.ccp\.ratio=-1\.5 must be above 0"),
        ({"ratio": float("nan")}, "must be above 0"),
        ({"splits": Splits([], [])}, r"source 'ccp' has no training photo; check data\.sources\.ccp\.root"),
        ({"labels": "nothing"}, r"data\.sources\.ccp: unknown label set 'nothing'"),
    ],
)
def test_bad_sources_are_refused(folders: dict[str, Path], change: dict[str, Any], message: str) -> None:
    sources = settings(folders)
    sources["ccp"] |= change
    with pytest.raises(ValueError, match=message):
        mixture(sources, "cihp")


def test_a_bad_table_is_refused_with_the_source(folders: dict[str, Path], tmp_path: Path) -> None:
    sources = settings(folders)
    sources["pascal"]["table"] = tmp_path / "table.yaml"
    with pytest.raises(FileNotFoundError, match=r"data\.sources\.pascal: .*table\.yaml"):
        mixture(sources, "cihp")
    (tmp_path / "table.yaml").write_text("background: background\nhead: [face, beard]\n")
    with pytest.raises(ValueError, match=r"data\.sources\.pascal: table .*lacks the labels lower-arm, upper-leg"):
        mixture(sources, "cihp")


def test_a_mix_needs_sources_and_takes_no_choice_of_photos(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="a mix needs sources"):
        mixture({}, "cihp")
    with pytest.raises(ValueError, match=r"data\.module\.limit, data\.label_fraction cannot choose photos of a mix"):
        mixed_data_module(mixture(settings(folders), "cihp"), "cihp", 32, 4, limit=3, label_fraction=0.5)
