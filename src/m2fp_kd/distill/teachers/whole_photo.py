"""Frozen teachers on whole photos, for the cache and for the teacher's own scores."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from m2fp_kd.data.teacher_cache import CacheError
from m2fp_kd.distill.teachers.part_model import PartModel, mean_log_parts
from m2fp_kd.distill.teachers.resample import logarithm, resample, resample_log_parts
from m2fp_kd.distill.teachers.tta import SINGLE_VIEW, Tta, mirrored
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.runtime.geometry import OUTPUT_STRIDE, Geometry, Placement, place
from m2fp_kd.runtime.part_map import part_map
from m2fp_kd.runtime.provenance import TeacherCard

CARD_NAME = "teacher.json"

GPU_PHOTOS = 8
"""Photos in a call of networks on a GPU, each with its mirror image."""


@dataclass(frozen=True)
class PlacedPhoto:
    """A photo on the canvases of networks.

    Attributes:
        size: the photo's own height and width in pixels.
        canvases: geometry -> uint8 (V, S, S, 3), the photo and perhaps its mirror image.
    """

    size: tuple[int, int]
    canvases: dict[Geometry, np.ndarray]


class WholePhotoTeacher:
    """Frozen networks that give a part distribution for each cell of the student's canvas, for a whole photo.

    A single network answers in its own parts, so that its cache serves students of any label set. Several are averaged
    after their bridges, in the student's parts.

    Args:
        models: the networks, each with its geometry and bridge.
        student_geometry: placement of photos for the student, whose stride-4 grid the answer has; square as well.
        tta: views of a photo whose probabilities are averaged.
    """

    def __init__(self, models: Sequence[PartModel], student_geometry: Geometry, tta: Tta = SINGLE_VIEW) -> None:
        self.models = list(models)
        self.student_geometry = student_geometry
        self.tta = tta

    @property
    def single(self) -> PartModel | None:
        """The network, if there is only one."""
        return self.models[0] if len(self.models) == 1 else None

    @property
    def labels(self) -> LabelSet:
        """Label set of `log_parts`."""
        return self.single.labels if self.single else self.models[0].student_labels

    @property
    def geometry(self) -> Geometry:
        """Placement of photos on the largest canvas of the networks."""
        return max((model.geometry for model in self.models), key=lambda geometry: geometry.size)

    @property
    def views(self) -> int:
        """Number of forward passes per photo."""
        return len(self.models) * self.tta.views

    def to(self, device: torch.device | str) -> None:
        """Move the networks to a device."""
        for model in self.models:
            model.network.to(device)

    @property
    def at_once(self) -> int:
        """Number of photos that networks on this device answer together; on a CPU more are no faster."""
        return 1 if all(model.device.type == "cpu" for model in self.models) else GPU_PHOTOS

    def placed(self, photo: np.ndarray, mirror: bool = True) -> PlacedPhoto:
        """Place a photo uint8 (H, W, 3) and, if wanted, its mirror image on the networks' canvases, in any thread."""
        views = [photo, np.ascontiguousarray(photo[:, ::-1])] if mirror else [photo]
        geometries = {one for model in self.models for one in self.tta.geometries(model.geometry)}
        canvases = {one: np.stack([place(view, one)[0] for view in views]) for one in geometries}
        return PlacedPhoto(photo.shape[:2], canvases)

    @torch.inference_mode()
    def answers(self, photos: Sequence[PlacedPhoto]) -> np.ndarray:
        """Return log-probabilities float32 (N, 2, P, h, w) of N photos and their mirror images."""
        grid = _grid(self.student_geometry)
        single = self.single
        found = resample_log_parts(self._answer(single, photos), grid) if single else self._mean(photos, grid)
        return found.cpu().numpy().reshape(len(photos), 2, *found.shape[1:])

    def log_parts(self, photo: np.ndarray) -> np.ndarray:
        """Return log-probabilities float32 (2, P, h, w) of a photo uint8 (H, W, 3) and of its mirror image."""
        return self.answers([self.placed(photo)])[0]

    def placement(self, photo: np.ndarray) -> Placement:
        """Return the placement of a photo on the student's canvas."""
        return self.student_geometry.placement(photo.shape[:2])

    def parse(self, photo: np.ndarray) -> np.ndarray:
        """Return the part map of a photo at its own size, from the largest network's grid."""
        return part_map(*self.on_own_grid(photo))

    @torch.inference_mode()
    def on_own_grid(self, photo: np.ndarray) -> tuple[np.ndarray, Placement]:
        """Return the student's log parts float32 (P, g, g) over the largest canvas, and the photo's placement on it."""
        placed = self.placed(photo, mirror=self.tta.flip)
        return self._mean([placed], _grid(self.geometry))[0].cpu().numpy(), self.geometry.placement(placed.size)

    def _mean(self, photos: Sequence[PlacedPhoto], grid: tuple[int, int]) -> Tensor:
        """Return the mean of all networks as log parts (V, P, h, w) of all views, over the student's parts."""
        answers = [
            model.to_student(resample_log_parts(self._answer(model, photos), grid)).to(self.models[0].device)
            for model in self.models
        ]
        return mean_log_parts(answers)

    def _answer(self, model: PartModel, photos: Sequence[PlacedPhoto]) -> Tensor:
        """Return a network's log parts (V, P, g, g) of all views of photos, on its own grid and in its own parts.

        With `tta.flip`, photos come with their mirror images: the answer to one also counts, mirrored, for the other.
        """
        if self.tta == SINGLE_VIEW:
            return _forward(model, photos, model.geometry)
        answers = [_forward(model, photos, geometry).exp() for geometry in self.tta.geometries(model.geometry)]
        parts = torch.stack([resample(answer, _grid(model.geometry)) for answer in answers]).mean(dim=0)
        if self.tta.flip:
            placements = [model.geometry.placement(photo.size) for photo in photos]
            others = [
                mirrored(pair.flip(0), placement, model.labels.flip_permutation)
                for pair, placement in zip(parts.split(2), placements, strict=True)
            ]
            parts = (parts + torch.cat(others)) / 2
        return logarithm(parts)


def _forward(model: PartModel, photos: Sequence[PlacedPhoto], geometry: Geometry) -> Tensor:
    canvases = np.concatenate([photo.canvases[geometry] for photo in photos])
    images = torch.from_numpy(canvases).to(model.device).permute(0, 3, 1, 2).float()
    return resample_log_parts(model(images).part_logits, _grid(geometry))


def _grid(geometry: Geometry) -> tuple[int, int]:
    return geometry.size // OUTPUT_STRIDE, geometry.size // OUTPUT_STRIDE


def write_teacher_card(folder: Path, card: TeacherCard) -> None:
    """Write the card of the teacher that filled a cache: name, licence, weights' hash, size, parts."""
    with atomic_path(folder / CARD_NAME) as temporary:
        temporary.write_text(json.dumps(card.to_dict(), indent=1) + "\n")


def read_teacher_card(folder: Path, labels: LabelSet) -> TeacherCard:
    """Read the card of the teacher that filled a cache.

    Args:
        folder: folder of the cache.
        labels: the teacher's label set, `teacher.labels`.

    Raises:
        CacheError: the card is missing or broken, or the teacher has other parts.
    """
    path = folder / CARD_NAME
    if not path.is_file():
        raise CacheError(f"{path} is missing; restore it, since it names the teacher of these targets and its licence")
    try:
        card = TeacherCard.from_dict(json.loads(path.read_text()))
    except (ValueError, TypeError, AttributeError) as error:
        raise CacheError(f"{path} is not a valid teacher card ({error}); restore it") from error
    if card.parts != labels.parts:
        raise CacheError(
            f"the teacher of {folder} has other parts ({list(card.parts)}) than '{labels.name}' "
            f"({list(labels.parts)}); set teacher.labels to its label set, or use a teacher with the data's label set"
        )
    return card
