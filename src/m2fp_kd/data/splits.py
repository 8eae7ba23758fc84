"""Data sets divided by the use of their photos: one function for each layout, each returning `Splits`."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
from m2fp_kd.runtime.files import file_sha256

log = logging.getLogger(__name__)

HOLDOUT = "holdout"
HOLDOUT_FRACTION = 0.1
OWN = "own"


@dataclass(frozen=True)
class Splits:
    """The photos of a data set by their use.

    Attributes:
        train: training photos, or scenes that are drawn on the fly.
        val: photos or scenes to validate on.
        test: photos to score once, after training; empty if the set has none.
        unlabelled: photos without labels to distil on as well.
    """

    train: Sequence[Record] | DrawnPhotos
    val: Sequence[Record] | DrawnPhotos
    test: Sequence[Record] = ()
    unlabelled: Sequence[Record] = ()

    @property
    def held_out(self) -> list[Record]:
        """Photos on disk to validate or test on."""
        return [*stored(self.val), *self.test]


def m2fp_splits(
    root: str | Path, val: str = HOLDOUT, test: str | None = None, held_out: float = HOLDOUT_FRACTION
) -> Splits:
    """Return the photos of CIHP, LIP, PASCAL-Person-Part, MHP-v2 or your own set in M2FP's layout.

    Args:
        root: folder with `Training` and the other splits.
        val: a split, usually `Validation`, or `holdout`: a fixed choice of the training photos.
        test: a split, or None.
        held_out: share of the training photos that `holdout` chooses, below 1, or their number, from 1.
    """
    records = m2fp_records(root, "Training")
    train, validation = split_records(records, held_out) if val == HOLDOUT else (records, m2fp_records(root, val))
    return Splits(train, validation, m2fp_records(root, test) if test else ())


def ccp_splits(root: str | Path) -> Splits:
    """Return the photos of Clothing Co-Parsing.

    The set has no official split: a fixed tenth of the labelled photos is for validation, another tenth for test. The
    photos with image-level tags only are `unlabelled`.

    Args:
        root: folder with `photos` and `annotations`.
    """
    records = ccp_records(root)
    labelled = [record for record in records if record.categories]
    train, test = split_records(labelled, HOLDOUT_FRACTION, seed=1)
    train, val = split_records(train, HOLDOUT_FRACTION)
    return Splits(train, val, test, [record for record in records if not record.categories])


def photo_splits(root: str | Path, val_root: str | Path | None = None, held_out: float = HOLDOUT_FRACTION) -> Splits:
    """Return a folder of unlabelled photos.

    Args:
        root: the folder.
        val_root: labelled photos in M2FP's layout, whose `Validation` is used; None holds out a fixed choice of the
            unlabelled photos, which only pseudo labels can score.
        held_out: share of the photos of that choice, below 1, or their number, from 1.
    """
    records = photo_records(root)
    if val_root:
        return Splits(records, m2fp_records(val_root, "Validation"))
    return Splits(*split_records(records, held_out))


def synthetic_splits(
    size: int,
    seed: int = 0,
    length: int = 2000,
    persons: Sequence[int] = (1, 4),
    val_root: str | Path | None = None,
    val_length: int = 100,
) -> Splits:
    """Return endless synthetic scenes with CIHP's parts, drawn on the fly, to train teachers on.

    Args:
        size: side of a scene in pixels.
        seed: seed of all scenes.
        length: scenes per epoch; every epoch has new ones.
        persons: fewest and most persons in a scene.
        val_root: photos in M2FP's layout, whose `Validation` is used; None draws scenes for validation.
        val_length: number of those scenes.
    """
    fewest, most = persons
    val = m2fp_records(val_root, "Validation") if val_root else DrawnPhotos(val_length, size, (fewest, most), (seed, 1))
    return Splits(DrawnPhotos(length, size, (fewest, most), (seed, 0)), val)


def select(
    splits: Splits,
    limit: int | None = None,
    label_fraction: float | None = None,
    unlabelled: str | Path | Sequence[str | Path] | None = None,
) -> Splits:
    """Choose the photos to train on; validation and test photos stay.

    Args:
        splits: all photos of the set.
        limit: number of training photos to keep, a fixed choice; None keeps all.
        label_fraction: share of the kept photos whose labels are used, a fixed choice; the others become unlabelled.
            None keeps all labels.
        unlabelled: folder of photos to distil on as well, `own` for the set's own unlabelled ones, a list of these, or
            None. Copies of validation and test photos are left out.

    Raises:
        ValueError: scenes are drawn on the fly, or the set lacks the labels or the unlabelled photos to choose from.
    """
    if isinstance(splits.train, DrawnPhotos):
        if (limit, label_fraction, unlabelled) != (None, None, None):
            raise ValueError(
                "scenes that are drawn on the fly are all labelled and have no end; leave out data.module.limit, "
                "data.label_fraction and data.unlabelled"
            )
        return splits
    train = limit_records(splits.train, limit)
    if label_fraction is not None and any(record.categories is None for record in train):
        raise ValueError(f"data.label_fraction={label_fraction} needs labelled training photos; leave it out")
    labelled, withheld = take_labels(train, label_fraction)
    return replace(splits, train=labelled, unlabelled=[*withheld, *unlabelled_records(splits, unlabelled)])


def unlabelled_records(splits: Splits, sources: str | Path | Sequence[str | Path] | None) -> list[Record]:
    """Return the photos that `sources` names, as for `select`, apart from those that the set validates or tests on.

    Raises:
        LayoutError: a folder is missing or has no photo.
        ValueError: `own` is chosen and the set has no unlabelled photos.
    """
    if sources is None:
        return []
    if isinstance(sources, str | Path):
        sources = [sources]
    records = [record for source in sources for record in _source_records(splits, source)]
    kept = without_copies(records, splits.held_out)
    if left_out := len(records) - len(kept):
        log.info("left out %d photos of data.unlabelled: the data set validates or tests on them", left_out)
    return kept


def stored(photos: Sequence[Record] | DrawnPhotos) -> Sequence[Record]:
    """Return the photos that are files: none of those that are drawn on the fly."""
    return () if isinstance(photos, DrawnPhotos) else photos


def without_copies(records: Sequence[Record], held_out: Sequence[Record]) -> list[Record]:
    """Return the records whose photos are not among those held out, byte for byte."""
    sizes = {record.image: record.image.stat().st_size for record in (*records, *held_out)}
    common = set.intersection(*({sizes[record.image] for record in group} for group in (records, held_out)))
    known = {file_sha256(record.image) for record in held_out if sizes[record.image] in common}

    def copied(record: Record) -> bool:  # only files of these sizes have to be read
        return sizes[record.image] in common and file_sha256(record.image) in known

    return [record for record in records if not copied(record)]


def _source_records(splits: Splits, source: str | Path) -> Sequence[Record]:
    if source != OWN:
        return photo_records(source, "data.unlabelled")
    if not splits.unlabelled:
        raise ValueError("this data set has no unlabelled photos of its own; give data.unlabelled=FOLDER")
    return splits.unlabelled
