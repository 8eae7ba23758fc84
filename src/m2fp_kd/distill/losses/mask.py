"""Mask2Former's set criterion (Cheng et al. 2022, section 3 and appendix A), all decoder layers matched together."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

from m2fp_kd.distill.losses.mask_targets import MaskBatch, MaskTargets, mask_targets
from m2fp_kd.distill.losses.processes import sum_of_processes
from m2fp_kd.distill.losses.term import Term, given
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import M2FPOutput, StudentOutput

_CERTAIN = 1e6  # a logit above any that a network outputs


class MatchedMaskLoss(nn.Module):
    """Class, mask and dice loss of queries that are matched with true masks (Hungarian assignment).

    Every layer of the transformer decoder is matched and evaluated separately; the losses are summed over layers. Mask
    losses sample `num_points` points per mask instead of all pixels. Random numbers come from torch's generator; the
    masks of a batch share them, so that processes with the same seed draw the same points as one process.

    Args:
        num_points: points per mask, for the matching cost and for the loss.
        class_weight: weight of the class term, in the matching cost and in `total`.
        mask_weight: weight of the binary cross-entropy on points, likewise.
        dice_weight: weight of the dice term, likewise.
        no_object_weight: weight, in the class loss, of queries without a mask.
        oversample: number of candidates per loss point.
        importance: share of the loss points chosen as the most uncertain candidates; the others are uniform.
    """

    def __init__(
        self,
        num_points: int = 12544,
        *,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
        no_object_weight: float = 0.1,
        oversample: float = 3.0,
        importance: float = 0.75,
    ):
        super().__init__()
        if num_points < 1 or oversample < 1 or not 0 <= importance <= 1:
            raise ValueError(
                f"num_points={num_points}, oversample={oversample}, importance={importance}: "
                "need num_points >= 1, oversample >= 1 and importance within 0..1"
            )
        self.num_points = num_points
        self.weights = {"class": class_weight, "mask": mask_weight, "dice": dice_weight}
        self.no_object_weight = no_object_weight
        self.oversample = oversample
        self.importance = importance

    def forward(self, output: M2FPOutput, targets: Sequence[MaskTargets]) -> dict[str, Tensor]:
        """Return the unweighted loss components.

        Args:
            output: class logits (B, Q, C+1), mask logits (B, Q, h, w) and those of the auxiliary layers.
            targets: one per image, all of the same size (H, W), which may differ from (h, w).

        Returns:
            Scalars "class", "mask" and "dice", float32, each the sum over layers. Mask and dice are divided by the
            number of true masks in the batch, class by the summed weights of the queries, of all processes.

        Raises:
            ValueError: targets do not fit the output.
            FloatingPointError: a matching cost is NaN or infinite because logits are.
        """
        layers = [(output.class_logits, output.mask_logits), *output.auxiliary]
        batch, _, classes = output.class_logits.shape
        truth = _checked(targets, batch, classes - 1)
        with torch.autocast(output.mask_logits.device.type, enabled=False):
            class_logits = torch.stack([logits.float() for logits, _ in layers])
            mask_logits = [logits for _, logits in layers]
            query, target = _assign(self._costs(class_logits, mask_logits, truth), truth)
            masks = [self._mask_losses(*layer, truth) for layer in zip(mask_logits, query, target, strict=True)]
            count = masks[0].new_full((1,), len(truth.classes))
            mask, dice, count = sum_of_processes(torch.cat([torch.stack(masks).sum(0), count]))
            mask, dice = torch.stack([mask, dice]) / count.clamp(min=1)
            return {"class": self._class_loss(class_logits, query, target, truth), "mask": mask, "dice": dice}

    def total(self, components: dict[str, Tensor]) -> Tensor:
        """Return the weighted sum of the components from `forward`."""
        return torch.stack([weight * components[name] for name, weight in self.weights.items()]).sum()

    @torch.no_grad()
    def _costs(self, class_logits: Tensor, mask_logits: list[Tensor], truth: MaskBatch) -> list[Tensor]:
        """Return the matching cost (L, Q, T) of every image, on points shared by its layers and masks.

        Images are processed one by one, since all layers of a batch at all points would need much memory.
        """
        points = _random_points(self.num_points, like=class_logits).expand(len(truth.counts), -1, -1)
        masks = truth.sample_masks(points[truth.image], torch.arange(len(truth.image), device=points.device))
        valid = truth.sample_valid(points, torch.arange(len(points), device=points.device))
        costs = []
        for image, (true_classes, true_masks) in enumerate(
            zip(truth.classes.split(truth.counts), masks.split(truth.counts), strict=True)
        ):
            logits = torch.stack([layer[image] for layer in mask_logits]).float()
            logits = _sample_logits(logits, points[image].expand(len(logits), -1, -1))
            mask, dice = _pairwise_losses(logits, true_masks, valid[image])
            probability = class_logits[:, image].softmax(-1)[..., true_classes]
            weight = self.weights
            costs.append(weight["mask"] * mask + weight["dice"] * dice - weight["class"] * probability)
        return costs

    def _class_loss(self, class_logits: Tensor, query: Tensor, target: Tensor, truth: MaskBatch) -> Tensor:
        """Return the cross-entropy of class logits (L, B, Q, C+1); the target of unmatched queries is "no object".

        Images without any label are left out.
        """
        no_object = class_logits.shape[-1] - 1
        classes = torch.full(class_logits.shape[:-1], no_object, device=class_logits.device)
        layer = torch.arange(len(classes), device=classes.device)[:, None]
        classes[layer, truth.image[target], query] = truth.classes[target]
        weights = torch.where(classes == no_object, self.no_object_weight, 1.0) * truth.labelled[:, None]
        loss = F.cross_entropy(class_logits.flatten(0, 2), classes.flatten(), reduction="none").view_as(weights)
        total, weight = sum_of_processes(torch.stack([(weights * loss).sum((1, 2)), weights.sum((1, 2))]))
        return (total / weight.clamp(min=1e-6)).sum()

    def _mask_losses(self, mask_logits: Tensor, query: Tensor, target: Tensor, truth: MaskBatch) -> Tensor:
        """Return binary cross-entropy and dice loss (2,), summed over the matched masks of one layer (B, Q, h, w).

        Layers are processed one by one: tensors that fit the CPU's cache are faster than one large batch.
        """
        image = truth.image[target]
        matched = mask_logits[image, query][:, None].float()
        points = self._loss_points(matched.detach(), image, truth)
        logits = _sample_logits(matched, points)[:, 0]
        masks, valid = truth.sample_masks(points, target), truth.sample_valid(points, image)
        # Ignored pixels belong to no mask, so `masks` is already weighted by `valid`.
        probability = logits.sigmoid()
        mask = (valid * F.softplus(logits) - masks * logits).sum(1) / valid.sum(1).clamp(min=1)
        dice = 1 - (2 * (masks * probability).sum(1) + 1) / ((valid * probability).sum(1) + masks.sum(1) + 1)
        return torch.stack([mask.sum(), dice.sum()])

    @torch.no_grad()
    def _loss_points(self, matched: Tensor, image: Tensor, truth: MaskBatch) -> Tensor:
        """Draw points (M, N, 2) for mask logits (M, 1, h, w): the most uncertain candidates, and uniform points."""
        uncertain = int(self.importance * self.num_points)
        candidates = _random_points(int(self.oversample * self.num_points), like=matched).expand(len(matched), -1, -1)
        # Logits in ignored pixels are often uncertain and would attract points of weight 0.
        ignored = ~truth.valid_cells(*matched.shape[-2:])[image]
        certainty = _sample_logits(matched.masked_fill(ignored, _CERTAIN), candidates)[:, 0].abs_()
        chosen = certainty.topk(uncertain, dim=1, largest=False, sorted=False).indices
        uniform = _random_points(self.num_points - uncertain, like=matched).expand(len(matched), -1, -1)
        return torch.cat([candidates.gather(1, chosen[..., None].expand(-1, -1, 2)), uniform], dim=1)


def _checked(targets: Sequence[MaskTargets], batch: int, classes: int) -> MaskBatch:
    if len(targets) != batch:
        raise ValueError(f"{len(targets)} targets for a batch of {batch} images: give one per image")
    truth = MaskBatch.of(targets)
    largest = int(truth.classes.max()) if len(truth.classes) else 0
    if largest >= classes:
        raise ValueError(
            f"a target has class {largest}, but the network has {classes} classes: "
            "build it with the num_classes of the data's label set"
        )
    return truth


def _random_points(count: int, like: Tensor) -> Tensor:
    """Draw uniform points (1, N, 2) within 0..1 on the device of another tensor."""
    return torch.rand(1, count, 2, device=like.device)


def _sample_logits(logits: Tensor, points: Tensor) -> Tensor:
    """Sample logits (M, K, h, w) bilinearly at points (M, N, 2), x and y in 0..1: (M, K, N), 0 outside."""
    return F.grid_sample(logits, (2 * points).sub_(1)[:, :, None], align_corners=False)[..., 0]


def _pairwise_losses(logits: Tensor, masks: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return cross-entropy and dice (L, Q, T) of logits (L, Q, N) and masks (T, N), with point weights `valid` (N,)."""
    probability = logits.sigmoid()
    # softplus(logits), four times faster on a CPU than F.softplus; no gradient is needed.
    softplus = logits.relu() - logits.abs().sigmoid_().log_()
    mask = ((softplus @ valid)[..., None] - logits @ masks.T) / valid.sum().clamp(min=1)
    dice = 1 - (2 * (probability @ masks.T) + 1) / ((probability @ valid)[..., None] + masks.sum(1) + 1)
    return mask, dice


def _assign(costs: list[Tensor], truth: MaskBatch) -> tuple[Tensor, Tensor]:
    """Find the cheapest one-to-one assignment per layer and image: query and target in the batch, each (L, K)."""
    together = torch.cat(costs, dim=-1).cpu()
    if not together.isfinite().all():
        raise FloatingPointError(
            "the matching cost is NaN or infinite because class or mask logits are: "
            "lower the learning rate, clip gradients or train in float32"
        )
    targets = torch.arange(len(truth.classes)).split(truth.counts)
    layers = []
    for layer in together:
        pairs = []
        for cost, rows in zip(layer.split(truth.counts, dim=-1), targets, strict=True):
            query, target = linear_sum_assignment(cost.numpy())
            pairs.append(torch.stack([torch.from_numpy(query), rows[torch.from_numpy(target)]]))
        layers.append(torch.cat(pairs, dim=1))
    query, target = torch.stack(layers, dim=1).to(truth.classes.device)
    return query, target


class Mask(Term):
    """Mask2Former's matched mask-classification loss, its three components weighted as in the paper."""

    needs = frozenset({"student.queries"})

    def __init__(self, labels: LabelSet, num_points: int = 12544) -> None:
        super().__init__()
        self.labels = labels
        self.loss = MatchedMaskLoss(num_points)

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        persons = batch.get("persons", [None] * len(batch["parts"]))
        instances = batch.get("instances", [None] * len(batch["parts"]))
        targets = [
            mask_targets(parts, person, instance, self.labels)
            for parts, person, instance in zip(batch["parts"], persons, instances, strict=True)
        ]
        return self.loss.total(self.loss(given(output.queries), targets))
