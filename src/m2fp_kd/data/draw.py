"""Contact sheet of augmented photos with their labels: `python -m m2fp_kd.data.draw --help`."""

import argparse
from collections.abc import Sequence

import numpy as np
from PIL import Image

from m2fp_kd.data.augmentation import Augmentation
from m2fp_kd.data.dataset import StoredPhotos, TrainingPhotos
from m2fp_kd.data.layouts import ccp_records, limit_records, m2fp_records, photo_records
from m2fp_kd.data.teacher_cache import TeacherCache, stored_key
from m2fp_kd.labels import LabelSet, load_label_set
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.runtime.mosaic import overlay

LAYOUTS = {
    "m2fp": lambda root: m2fp_records(root, "Training"),
    "ccp": ccp_records,
    "photos": photo_records,
}
DRAWS = 3
"""Augmentations of each photo."""
COLUMNS = 2 * DRAWS
GAP = 4
"""Pixels between two cells."""


def contact_sheet(photos: TrainingPhotos) -> Image.Image:
    """Draw crops of each photo, each alone, with labels and, if cached, with the teacher's most probable part."""
    cells = [_cell(photos[epoch, index], photos.labels) for index in range(len(photos)) for epoch in range(DRAWS)]
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // COLUMNS)
    sheet = np.full((rows * (height + GAP) - GAP, COLUMNS * (width + GAP) - GAP, 3), 255, np.uint8)
    for number, cell in enumerate(cells):
        top, left = number // COLUMNS * (height + GAP), number % COLUMNS * (width + GAP)
        sheet[top : top + height, left : left + width] = cell
    return Image.fromarray(sheet)


def _cell(item: dict, labels: LabelSet) -> np.ndarray:
    image = item["images"].permute(1, 2, 0).numpy()
    pictures = [image, overlay(image, item["parts"].numpy(), labels)]
    if "log_parts" in item:
        best = item["log_parts"].argmax(dim=0).to(item["parts"].dtype).masked_fill(~item["valid"], labels.ignore_index)
        stride = image.shape[0] // best.shape[0]
        pictures.append(overlay(image, best.numpy().repeat(stride, axis=0).repeat(stride, axis=1), labels))
    return np.concatenate(pictures, axis=1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m m2fp_kd.data.draw", description=__doc__)
    parser.add_argument("--root", required=True, help="data folder")
    parser.add_argument("--layout", choices=sorted(LAYOUTS), default="m2fp", help="layout of the data folder")
    parser.add_argument("--labels", required=True, help="label set, by name or YAML file")
    parser.add_argument("--out", required=True, help="image file to write")
    parser.add_argument("--count", type=int, default=8, help="number of photos, chosen by the seed")
    parser.add_argument("--size", type=int, default=256, help="side of the crop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", help="folder of cached teacher targets")
    options = parser.parse_args(arguments)
    labels = load_label_set(options.labels)
    records = limit_records(LAYOUTS[options.layout](options.root), options.count, options.seed)
    cache = TeacherCache(options.cache, stored_key(options.cache)) if options.cache else None
    photos = TrainingPhotos(
        StoredPhotos(records, labels, cache), labels, options.size, Augmentation(), options.seed, cache is not None
    )
    with atomic_path(options.out) as temporary:
        contact_sheet(photos).save(temporary)
    print(options.out)


if __name__ == "__main__":
    main()
