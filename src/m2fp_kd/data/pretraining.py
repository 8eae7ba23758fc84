"""Photos without labels, to pretrain a backbone on."""

import logging
from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import DataLoader, Subset

from m2fp_kd.data.augmentation import NO_AUGMENTATION
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.dataset import DrawnPhotos, TrainingPhotos
from m2fp_kd.data.layouts import Record, split_records
from m2fp_kd.data.splits import HOLDOUT_FRACTION, Splits, unlabelled_records
from m2fp_kd.runtime.files import file_sha256

log = logging.getLogger(__name__)


def pretraining_splits(
    data_sets: Sequence[Splits], unlabelled: str | Path | Sequence[str | Path] | None = None
) -> Splits:
    """Return all photos that a backbone may be pretrained on; a fixed tenth of them is held out for validation.

    Args:
        data_sets: none, one or several. Their training photos are used without labels; their validation and test
            photos are left out, also where a folder of `unlabelled` has copies of them.
        unlabelled: folder of photos, `own` for the data sets' own unlabelled ones, a list of these, or None.

    Raises:
        LayoutError: a folder is missing or has no photo.
        ValueError: there are no photos, or too few to hold some out.
    """
    labelled = [record for splits in data_sets for record in _stored(splits.train)]
    held_out = [record for splits in data_sets for record in (*_stored(splits.val), *splits.test)]
    own = Splits((), (), unlabelled=[record for splits in data_sets for record in splits.unlabelled])
    photos = [*labelled, *_without(held_out, unlabelled_records(own, unlabelled))]
    if not photos:
        raise ValueError("there are no photos to pretrain on; give data.unlabelled=[DIR,DIR] or a data set's data.root")
    return Splits(*split_records([Record(record.name, record.image) for record in photos], HOLDOUT_FRACTION))


def _stored(photos: Sequence[Record] | DrawnPhotos) -> Sequence[Record]:
    return () if isinstance(photos, DrawnPhotos) else photos


def _without(held_out: Sequence[Record], records: Sequence[Record]) -> list[Record]:
    """Return the records whose photos are not among those held out, byte for byte."""
    known = {file_sha256(record.image) for record in held_out}
    kept = [record for record in records if not known or file_sha256(record.image) not in known]
    if dropped := len(records) - len(kept):
        log.info("left out %d photos of data.unlabelled: the data set validates or tests on them", dropped)
    return kept


class PhotoDataModule(ParsingDataModule):
    """Batches of `images, valid` alone; validation crops are whole photos, each on its own square."""

    def setup(self, stage: str | None = None) -> None:
        """Check nothing: photos without labels suffice."""

    def val_dataloader(self) -> DataLoader:
        """Return a loader of batches like those of training, without augmentation, with `counted`."""
        photos = self._photos(self.val, None)
        items = TrainingPhotos(photos, self.labels, self.geometry.size, NO_AUGMENTATION, self.seed)
        return self._counted(Subset(items, [(0, index) for index in range(len(photos))]))  # type: ignore[misc]
