"""Asking a frozen teacher once about whole photos: for the cache, and for its own scores."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from tqdm import tqdm

from m2fp_kd.data.bridging import cross
from m2fp_kd.data.layouts import Record
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache
from m2fp_kd.distill.teachers.resample import logarithm, resample, resample_log_parts
from m2fp_kd.distill.teachers.tta import SINGLE_VIEW, Tta, mirrored
from m2fp_kd.labels import Bridge, LabelSet
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.outputs import log_parts
from m2fp_kd.runtime.files import atomic_path, file_sha256
from m2fp_kd.runtime.geometry import OUTPUT_STRIDE, Geometry, Placement, place, read_photo, restore_dense
from m2fp_kd.runtime.provenance import TeacherCard

CARD_NAME = "teacher.json"


class WholePhotoTeacher:
    """A frozen M2FP that says, for a whole photo, which part each cell of the student's canvas is.

    Args:
        network: put in evaluation mode.
        labels: label set of the teacher.
        geometry: how photos enter the teacher.
        student_geometry: on whose stride-4 grid the answer is given; a canvas of the same proportions.
        tta: the views of a photo whose probabilities are averaged.
        bridge: to the label set of the part maps, where it is another one.
    """

    def __init__(
        self,
        network: M2FP,
        labels: LabelSet,
        geometry: Geometry,
        student_geometry: Geometry,
        tta: Tta = SINGLE_VIEW,
        bridge: Bridge | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.labels = labels
        self.geometry = geometry
        self.student_geometry = student_geometry
        self.tta = tta
        self.bridge = bridge

    @torch.inference_mode()
    def log_parts(self, photo: np.ndarray) -> np.ndarray:
        """Photo uint8 (H, W, 3) -> log-probabilities float32 (2, P, h, w) of the photo and of the mirrored photo."""
        parts = self._ask([photo, _mirrored_photo(photo)])
        return resample_log_parts(parts, _grid(self.student_geometry)).cpu().numpy()

    def placement(self, photo: np.ndarray) -> Placement:
        """Where a photo lies on the student's canvas."""
        return place(photo, self.student_geometry)[1]

    def parse(self, photo: np.ndarray) -> np.ndarray:
        """Photo -> part map at its own size, from the teacher's own grid."""
        return part_map(*self.on_own_grid(photo))

    @torch.inference_mode()
    def on_own_grid(self, photo: np.ndarray) -> tuple[np.ndarray, Placement]:
        """Photo -> log parts float32 (P, g, g) over the teacher's own canvas, and where the photo lies on it."""
        looks = [photo, _mirrored_photo(photo)] if self.tta.flip else [photo]
        parts = self._ask(looks)[:1]
        if self.bridge is not None:
            parts = cross(parts, self.bridge)
        return parts[0].cpu().numpy(), place(photo, self.geometry)[1]

    def _ask(self, photos: Sequence[np.ndarray]) -> Tensor:
        """Log parts (N, P, g, g) of photos of one size, on the teacher's own grid.

        A flip wants two photos, mirror images of each other: what is said of one counts, mirrored, for the other.
        """
        if self.tta == SINGLE_VIEW:
            return self._answer(photos, self.geometry)
        answers = [self._answer(photos, geometry).exp() for geometry in self.tta.geometries(self.geometry)]
        parts = torch.stack([resample(answer, _grid(self.geometry)) for answer in answers]).mean(dim=0)
        if self.tta.flip:
            placement = place(photos[0], self.geometry)[1]
            parts = (parts + mirrored(parts.flip(0), placement, self.labels.flip_permutation)) / 2
        return logarithm(parts)

    def _answer(self, photos: Sequence[np.ndarray], geometry: Geometry) -> Tensor:
        device = next(self.network.parameters()).device
        canvases = np.stack([place(photo, geometry)[0] for photo in photos])
        images = torch.from_numpy(canvases).to(device).permute(0, 3, 1, 2).float()
        return log_parts(self.network(images), self.labels.num_parts)


def _mirrored_photo(photo: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(photo[:, ::-1])


def _grid(geometry: Geometry) -> tuple[int, int]:
    return geometry.size // OUTPUT_STRIDE, geometry.size // OUTPUT_STRIDE


def part_map(log_parts: np.ndarray, placement: Placement) -> np.ndarray:
    """Log parts (P, h, w) on a canvas -> part map uint8 (H, W) at the photo's own size."""
    return restore_dense(log_parts, placement).argmax(axis=0).astype(np.uint8)


def fill_cache(cache: TeacherCache, teacher: WholePhotoTeacher, records: Sequence[Record]) -> int:
    """Compute what the cache lacks of these photos, both orientations; return how many entries were made.

    Interrupted at any moment, it goes on where it was. One process fills a cache at a time; others wait.
    """
    cache.path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(cache.path.with_suffix(".lock")):
        cache.refresh()
        return _fill(cache, teacher, records)


def _fill(cache: TeacherCache, teacher: WholePhotoTeacher, records: Sequence[Record]) -> int:
    hashes = {record.name: file_sha256(record.image) for record in records}
    missing = [record for record in records if not cache.has(record.name, hashes[record.name])]
    for record in tqdm(missing, desc="teacher", unit="photo", disable=not missing):
        photo = read_photo(record.image)
        targets, placement = teacher.log_parts(photo), teacher.placement(photo)
        cache.write(record.name, targets, placement, hashes[record.name], teacher.labels.flip_permutation)
    return len(missing)


def write_teacher_card(folder: Path, card: TeacherCard) -> None:
    """Say beside a cache which teacher filled it: name, licence, weights' hash, size, parts."""
    with atomic_path(folder / CARD_NAME) as temporary:
        temporary.write_text(json.dumps(card.to_dict(), indent=1) + "\n")


def read_teacher_card(folder: Path, labels: LabelSet) -> TeacherCard:
    """The card beside a cache, of a teacher that is said to know this label set.

    Raises:
        CacheError: there is none, it is broken, or the teacher knows other parts.
    """
    path = folder / CARD_NAME
    if not path.is_file():
        raise CacheError(f"{path} is missing: it says whose targets these are and under which licence; restore it")
    try:
        card = TeacherCard.from_dict(json.loads(path.read_text()))
    except ValueError as error:
        raise CacheError(f"{path} is not a valid teacher card ({error}); restore it") from error
    if card.parts != labels.parts:
        raise CacheError(
            f"the teacher of {folder} knows other parts ({list(card.parts)}) than '{labels.name}' "
            f"({list(labels.parts)}); say teacher.labels=its label set, or use a teacher of the data's own"
        )
    return card
