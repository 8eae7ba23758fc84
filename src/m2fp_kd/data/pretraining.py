"""Photos without labels, to pretrain a backbone on."""

from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import DataLoader, Subset

from m2fp_kd.data.augmentation import NO_AUGMENTATION
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.dataset import TrainingPhotos
from m2fp_kd.data.layouts import Record, split_records
from m2fp_kd.data.splits import HOLDOUT_FRACTION, Splits, stored, unlabelled_records


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
    labelled, val, test, own = (
        [record for splits in data_sets for record in stored(getattr(splits, use))]
        for use in ("train", "val", "test", "unlabelled")
    )
    photos = [*labelled, *unlabelled_records(Splits((), val, test, own), unlabelled)]
    if not photos:
        raise ValueError("there are no photos to pretrain on; give data.unlabelled=[DIR,DIR] or a data set's data.root")
    return Splits(*split_records([Record(record.name, record.image) for record in photos], HOLDOUT_FRACTION))


class PhotoDataModule(ParsingDataModule):
    """Batches of `images, valid` alone; validation crops are whole photos, each on its own square."""

    def setup(self, stage: str | None = None) -> None:
        """Check nothing: photos without labels suffice."""

    def val_dataloader(self) -> DataLoader:
        """Return a loader of batches like those of training, without augmentation, with `counted`."""
        photos = self._photos(self.val, None)
        items = TrainingPhotos(photos, self.labels, self.geometry.size, NO_AUGMENTATION, self.seed)
        return self._counted(Subset(items, [(0, index) for index in range(len(photos))]))  # type: ignore[misc]
