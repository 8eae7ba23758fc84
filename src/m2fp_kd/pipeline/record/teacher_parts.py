"""The teacher's part maps as the truth of photos without labels."""

import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from m2fp_kd.compress.photos import SpreadPhotos
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.layouts import Record
from m2fp_kd.data.reading import Photo
from m2fp_kd.labels import LabelSet
from m2fp_kd.pipeline.assemble.teacher import Teacher
from m2fp_kd.pipeline.record.scoring import ParsePhoto
from m2fp_kd.runtime.checks import LABELS, TEACHER
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Placement
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.part_map import part_map


def teacher_parse(teacher: Teacher, datamodule: ParsingDataModule, records: list[Record]) -> ParsePhoto | None:
    """Return the teacher as a parser of these photos: its network, else its cache if that holds them all, else None."""
    if teacher.whole is not None:
        whole = teacher.whole
        return lambda photo: _parsing(photo, *whole.on_own_grid(photo.image), datamodule.labels)
    cache = datamodule.cache
    images = {record.name: record.image for record in records}
    if cache is None or not set(images) <= set(cache.names):
        return None

    def parse(photo: Photo) -> Parsing:
        log_parts, placement = cache.read(photo.name, file_sha256(images[photo.name]))
        return _parsing(photo, log_parts[0], placement, datamodule.labels)

    return parse


class PhotosOfTeacher:
    """Photos whose labels are a teacher's part maps; each map is computed once.

    Args:
        photos: photos, the same in every iteration.
        parse: teacher.
    """

    def __init__(self, photos: SpreadPhotos, parse: ParsePhoto) -> None:
        self.photos = photos
        self.parse = parse
        self._maps: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self.photos)

    def __iter__(self) -> Iterator[Photo]:
        for index, photo in enumerate(self.photos):
            if index not in self._maps:
                self._maps[index] = zlib.compress(self.parse(photo).part_map.tobytes())
            flat = np.frombuffer(zlib.decompress(self._maps[index]), np.uint8)
            yield replace(photo, parts=flat.reshape(photo.image.shape[:2]))


def gate_photos(datamodule: ParsingDataModule, teacher: Teacher) -> tuple[SpreadPhotos | PhotosOfTeacher, str]:
    """Return the validation photos and the truth that gates measure mIoU against.

    The truth is their labels or, where no photo has any, the teacher's part maps, as in the report.
    """
    photos = SpreadPhotos(datamodule.validation_photos())
    if any(photo.parts is not None for photo in photos):
        return photos, LABELS
    parse = teacher_parse(teacher, datamodule, datamodule.records)
    return (photos, LABELS) if parse is None else (PhotosOfTeacher(photos, parse), TEACHER)


def _parsing(photo: Photo, log_parts: np.ndarray, placement: Placement, labels: LabelSet) -> Parsing:
    """Convert a teacher's log parts (P, h, w) of a photo."""
    found = part_map(log_parts, placement)
    return Parsing(photo.image, found, labels, "regions", {}, placement, outputs={"part_logits": log_parts})
