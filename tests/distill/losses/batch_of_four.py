"""Every term of the objective on four photos, or on one half of them in each of two processes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.distributed
from torch import Tensor

from m2fp_kd.distill.losses.boundary import Boundary
from m2fp_kd.distill.losses.ce import Ce
from m2fp_kd.distill.losses.cross_image import CrossImage
from m2fp_kd.distill.losses.cwd import Cwd
from m2fp_kd.distill.losses.dist import Dist
from m2fp_kd.distill.losses.feature import Feature
from m2fp_kd.distill.losses.jaccard import Jaccard
from m2fp_kd.distill.losses.kl import Kl
from m2fp_kd.distill.losses.mask import Mask
from m2fp_kd.distill.losses.pixel import Pixel
from m2fp_kd.distill.losses.query import Query
from m2fp_kd.distill.losses.source_kl import SourceKl
from m2fp_kd.distill.losses.term import Term
from m2fp_kd.distill.teachers.source_teachers import FIELD, SourceTarget
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.outputs import M2FPOutput, StudentOutput

LABELS = LABEL_SETS["pascal_person_part"]
PARTS, CLASSES, QUERIES, CHANNELS, SIDE = LABELS.num_parts, LABELS.num_parts + 2, 9, 6, 8

TERMS: dict[str, Callable[[], Term]] = {
    "ce": partial(Ce, LABELS),
    "ce of sets": partial(Ce, LABELS),
    "jaccard": partial(Jaccard, LABELS),
    "jaccard of sets": partial(Jaccard, LABELS),
    "kl": partial(Kl, LABELS),
    "kl by certainty": partial(Kl, LABELS, confidence="entropy"),
    "cwd": partial(Cwd, LABELS),
    "dist": partial(Dist, LABELS),
    "boundary": partial(Boundary, LABELS),
    "feature": partial(Feature, LABELS),
    "feature of channels": partial(Feature, LABELS, along="channel"),
    "cross_image": partial(CrossImage, LABELS, cells=3),
    "query": partial(Query, LABELS),
    "query one to one": partial(Query, LABELS, one_to_one=True),
    "mask": partial(Mask, LABELS, num_points=64),
    "pixel": partial(Pixel, LABELS),
    "source_kl": partial(SourceKl, LABELS),
}


def drawn(*shape: int, seed: int) -> Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def results(photos: slice) -> dict[str, tuple[Tensor, list[Tensor]]]:
    """Return the value of every term on these photos, and the gradients of the student's output and of the term.

    The first two photos have fewer pixels, labels, parts and masks than the last two, and no source's teacher.
    """
    return {name: _result(name, photos) for name in TERMS}


def _result(name: str, photos: slice) -> tuple[Tensor, list[Tensor]]:
    torch.manual_seed(0)
    term = TERMS[name]()
    term.connect(CHANNELS, CHANNELS + 1)
    shapes = (4, PARTS, SIDE, SIDE), (4, QUERIES, CLASSES), (4, QUERIES, SIDE, SIDE), (4, CHANNELS, SIDE, SIDE)
    ours = [drawn(*shape, seed=seed)[photos].requires_grad_() for seed, shape in enumerate(shapes)]
    theirs = [drawn(*shape, seed=10 + seed)[photos] for seed, shape in enumerate(shapes)]
    valid = torch.ones(4, SIDE, SIDE, dtype=torch.bool)
    valid[:2, :, 2:] = False
    parts = drawn(4, 4 * SIDE, 4 * SIDE, seed=20).abs().long().clamp(max=PARTS - 1)
    parts[:2] = parts[:2].clamp(max=1)
    parts[0], parts[1, :, 4:] = LABELS.ignore_index, LABELS.ignore_index
    batch = {"parts": parts[photos], "valid": valid[photos]}
    if name.endswith("of sets") or name == "source_kl":
        table = torch.eye(PARTS, dtype=torch.bool)
        table[1, 2] = True
        batch |= {"sets": table.expand(4, -1, -1)[photos], "counts_as": torch.arange(PARTS).expand(4, -1)[photos]}
        batch |= {"source": torch.tensor([0, 1, 1, 1])[photos]}
    targets = drawn(4, PARTS, SIDE, SIDE, seed=30).log_softmax(1)
    chosen = [place for place, photo in enumerate(range(*photos.indices(4))) if photo >= 2]
    batch[FIELD] = [SourceTarget(chosen, targets[photos][chosen])] if chosen else []
    feature = torch.cat([theirs[3], theirs[3][:, :1]], dim=1)
    value = term(
        StudentOutput(ours[0], M2FPOutput(ours[1], ours[2], mask_features=ours[3]), ours[3]),
        batch,
        TeacherTarget(
            theirs[0].log_softmax(1), batch["valid"], M2FPOutput(theirs[1], theirs[2], mask_features=theirs[3]), feature
        ),
    )
    inputs = [*ours, *term.parameters()]
    gradients = torch.autograd.grad(value, inputs, allow_unused=True)
    return value.detach(), [
        torch.zeros_like(one) if gradient is None else gradient for one, gradient in zip(inputs, gradients, strict=True)
    ]


def main(folder: Path) -> None:
    """Be a process of two; save its results."""
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    torch.save(results(slice(2 * rank, 2 * rank + 2)), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()
