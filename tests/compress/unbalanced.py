"""Students that compute the same in float and lose accuracy in INT8."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from tests.compress.colour_student import SIZE, rectangles


def unbalanced(student: nn.Module, factor: float, channels: int = 4) -> nn.Module:
    """Return a colour student with some first channels `factor` times larger, which the next layer compensates.

    Only a ReLU lies between, so nothing changes in real arithmetic; a single scale for all channels leaves little of
    the others.
    """
    student = copy.deepcopy(student)
    _, norm, _, following, *_ = student.layers
    with torch.no_grad():
        norm.weight[:channels] *= factor
        norm.bias[:channels] *= factor
        following.weight[:channels] /= factor
    return student.eval()


def train(student: nn.Module, steps: int, lr: float) -> float:
    """Train on the labels of 16 scenes with Adam; return the last loss; leave the student in eval mode."""
    scenes = [rectangles(seed, SIZE, SIZE) for seed in range(100, 116)]
    images = torch.stack([torch.from_numpy(scene.image) for scene in scenes]).permute(0, 3, 1, 2)
    parts = torch.stack([torch.from_numpy(scene.parts) for scene in scenes]).long()
    optimizer = torch.optim.Adam(student.parameters(), lr=lr)
    student.train()
    for _ in range(steps):
        logits = F.interpolate(student(images).part_logits, scale_factor=4.0, mode="bilinear")
        loss = F.cross_entropy(logits, parts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    student.eval()
    return loss.item()
