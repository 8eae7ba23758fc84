"""Asking a frozen teacher once about whole photos: for the cache, and for its own scores."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor
from tqdm import tqdm

from m2fp_kd.data.layouts import Record
from m2fp_kd.data.reading import read_record
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.outputs import log_parts
from m2fp_kd.runtime.files import atomic_path, file_sha256
from m2fp_kd.runtime.geometry import Geometry, Placement, place, restore_dense

CARD_NAME = "teacher.json"
_LOWEST = 1e-8


class WholePhotoTeacher:
    """A frozen M2FP that says, for a whole photo, which part each cell of the student's canvas is.

    Args:
        network: put in evaluation mode.
        labels: label set of the teacher.
        geometry: how photos enter the teacher.
        student_geometry: on whose stride-4 grid the answer is given; a canvas of the same proportions.
    """

    def __init__(self, network: M2FP, labels: LabelSet, geometry: Geometry, student_geometry: Geometry) -> None:
        self.network = network.eval().requires_grad_(False)
        self.labels = labels
        self.geometry = geometry
        self.student_geometry = student_geometry

    @torch.inference_mode()
    def log_parts(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        """Photos uint8 (H, W, 3) of one size -> log-probabilities float32 (N, P, h, w)."""
        parts = self._ask(photos)
        if self.geometry != self.student_geometry:
            side = self.student_geometry.size // 4
            resized = F.interpolate(parts.exp(), size=(side, side), mode="bilinear", antialias=True)
            parts = resized.clamp(min=_LOWEST).log().log_softmax(dim=1)
        return parts.cpu().numpy()

    def placement(self, photo: np.ndarray) -> Placement:
        """Where a photo lies on the student's canvas."""
        return place(photo, self.student_geometry)[1]

    @torch.inference_mode()
    def parse(self, photo: np.ndarray) -> np.ndarray:
        """Photo -> part map at its own size, from the teacher's own grid."""
        return part_map(self._ask([photo])[0].cpu().numpy(), place(photo, self.geometry)[1])

    def _ask(self, photos: Sequence[np.ndarray]) -> Tensor:
        device = next(self.network.parameters()).device
        canvases = np.stack([place(photo, self.geometry)[0] for photo in photos])
        images = torch.from_numpy(canvases).to(device).permute(0, 3, 1, 2).float()
        return log_parts(self.network(images), self.labels.num_parts)


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
        photo = read_record(record, teacher.labels).image
        both = teacher.log_parts([photo, np.ascontiguousarray(photo[:, ::-1])])
        cache.write(record.name, both, teacher.placement(photo), hashes[record.name], teacher.labels.flip_permutation)
    return len(missing)


def write_teacher_card(folder: Path, card: dict[str, Any]) -> None:
    """Say beside a cache which teacher filled it: name, licence, weights' hash, size, parts."""
    with atomic_path(folder / CARD_NAME) as temporary:
        temporary.write_text(json.dumps(card, indent=1) + "\n")


def read_teacher_card(folder: Path, labels: LabelSet) -> dict[str, Any]:
    """The card beside a cache, for data of this label set.

    Raises:
        CacheError: there is none, or the teacher knows other parts.
    """
    path = folder / CARD_NAME
    if not path.is_file():
        raise CacheError(f"{path} is missing: it says whose targets these are and under which licence; restore it")
    card = json.loads(path.read_text())
    if card.get("parts") != list(labels.parts):
        raise CacheError(
            f"the teacher of {folder} knows other parts ({card.get('parts')}) than the data's '{labels.name}' "
            f"({list(labels.parts)}); use a teacher of the data's label set"
        )
    return card
