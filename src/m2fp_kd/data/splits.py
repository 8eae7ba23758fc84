"""One function per kind of data, for the configuration: plain arguments in, a data module out."""

from collections.abc import Sequence
from pathlib import Path

from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.dataset import DrawnPhotos
from m2fp_kd.data.layouts import (
    Record,
    ccp_records,
    limit_records,
    m2fp_records,
    photo_records,
    split_records,
    take_labels,
)
from m2fp_kd.data.teacher_cache import TeacherCache
from m2fp_kd.data.transforms import NO_AUGMENTATION, Augmentation
from m2fp_kd.labels import LABEL_SETS, load_label_set

HOLDOUT = "holdout"
HOLDOUT_FRACTION = 0.1
OWN = "own"


def m2fp_data(
    root: str | Path,
    labels: str,
    size: int,
    batch_size: int,
    augmentation: Augmentation = NO_AUGMENTATION,
    workers: int = 0,
    seed: int = 0,
    val: str = HOLDOUT,
    test: str | None = None,
    limit: int | None = None,
    cache: TeacherCache | None = None,
    label_fraction: float | None = None,
    unlabelled: str | Path | None = None,
    unlabelled_ratio: float | None = None,
) -> ParsingDataModule:
    """CIHP, LIP, PASCAL-Person-Part, MHP-v2 or one's own photos in M2FP's layout.

    Args:
        root: folder with `Training` and so on.
        labels: name of a label set, or a YAML file.
        size: as in `ParsingDataModule`, like the arguments not named here.
        val: a split, usually `Validation`, or `holdout`: a fixed tenth of the training photos.
        test: a split, or None.
        limit: train on this many photos only, a fixed choice.
        label_fraction: keep the labels of this share of the training photos, a fixed choice, and count the others among
            the unlabelled ones; None keeps all.
        unlabelled: a folder of photos to distil on besides.
        unlabelled_ratio: as in `ParsingDataModule`.
    """
    train = m2fp_records(root, "Training")
    train, held_out = split_records(train, HOLDOUT_FRACTION) if val == HOLDOUT else (train, m2fp_records(root, val))
    labelled, withheld = take_labels(limit_records(train, limit), label_fraction)
    return ParsingDataModule(
        labelled, held_out, load_label_set(labels), size, batch_size, augmentation, workers, seed,
        m2fp_records(root, test) if test else (), cache,
        unlabelled=[*withheld, *_photos(unlabelled)], unlabelled_ratio=unlabelled_ratio,
    )  # fmt: skip


def ccp_data(
    root: str | Path,
    size: int,
    batch_size: int,
    labels: str = "ccp",
    augmentation: Augmentation = NO_AUGMENTATION,
    workers: int = 0,
    seed: int = 0,
    pseudo_labels: bool = False,
    limit: int | None = None,
    cache: TeacherCache | None = None,
    label_fraction: float | None = None,
    unlabelled: str | Path | None = None,
    unlabelled_ratio: float | None = None,
) -> ParsingDataModule:
    """Clothing Co-Parsing; it has no official split: a fixed tenth is for validation, another tenth for test.

    Args:
        root: folder with `photos` and `annotations`.
        size: as in `ParsingDataModule`, like the arguments not named here.
        limit: train on this many labelled photos only, a fixed choice.
        label_fraction: as in `m2fp_data`.
        unlabelled: photos to distil on besides: `own`, the set's photos with image-level tags only, or a folder.
        unlabelled_ratio: as in `ParsingDataModule`.
    """
    records = ccp_records(root)
    train, test = split_records([record for record in records if record.categories], HOLDOUT_FRACTION, seed=1)
    train, val = split_records(train, HOLDOUT_FRACTION)
    labelled, withheld = take_labels(limit_records(train, limit), label_fraction)
    bare = [record for record in records if not record.categories] if unlabelled == OWN else _photos(unlabelled)
    return ParsingDataModule(
        labelled, val, load_label_set(labels), size, batch_size, augmentation, workers, seed, test, cache,
        pseudo_labels, [*withheld, *bare], unlabelled_ratio,
    )  # fmt: skip


def photo_data(
    root: str | Path,
    labels: str,
    size: int,
    batch_size: int,
    augmentation: Augmentation = NO_AUGMENTATION,
    workers: int = 0,
    seed: int = 0,
    val_root: str | Path | None = None,
    pseudo_labels: bool = True,
    limit: int | None = None,
    cache: TeacherCache | None = None,
) -> ParsingDataModule:
    """A folder of unlabelled photos, for distillation.

    Args:
        root: the folder.
        labels: the teacher's label set.
        size: as in `ParsingDataModule`, like the arguments not named here.
        val_root: labelled photos in M2FP's layout, whose `Validation` is used. Without it, and with
            `pseudo_labels`, a fixed tenth of the photos is held out and scored against what the teacher says of them.
        limit: train on this many photos only, a fixed choice.
    """
    train, val = photo_records(root), []
    if val_root:
        val = m2fp_records(val_root, "Validation")
    elif pseudo_labels:
        train, val = split_records(train, HOLDOUT_FRACTION)
    return ParsingDataModule(
        limit_records(train, limit), val, load_label_set(labels), size, batch_size, augmentation, workers, seed,
        (), cache, pseudo_labels,
    )  # fmt: skip


def synthetic_data(
    size: int,
    batch_size: int,
    length: int = 2000,
    people: tuple[int, int] = (1, 4),
    augmentation: Augmentation = NO_AUGMENTATION,
    workers: int = 0,
    seed: int = 0,
    val_root: str | Path | None = None,
    val_length: int = 100,
) -> ParsingDataModule:
    """Endless synthetic scenes with CIHP's parts, drawn on the fly: for training teachers.

    Args:
        size: side of scenes, crops and canvases in pixels.
        batch_size: as in `ParsingDataModule`, like the arguments not named here.
        length: scenes that count as an epoch; every epoch has new ones.
        people: fewest and most persons in a scene.
        val_root: photos in M2FP's layout, whose `Validation` is used; without it scenes are drawn for validation.
        val_length: number of those scenes.
    """
    people = (people[0], people[1])
    val = m2fp_records(val_root, "Validation") if val_root else DrawnPhotos(val_length, size, people, (seed, 1))
    return ParsingDataModule(
        DrawnPhotos(length, size, people, (seed, 0)),
        val,
        LABEL_SETS["cihp"],
        size,
        batch_size,
        augmentation,
        workers,
        seed,
    )


def _photos(folder: str | Path | None) -> Sequence[Record]:
    return photo_records(folder, "data.unlabelled") if folder else ()
