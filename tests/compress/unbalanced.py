"""Students that say the same in float and that INT8 hurts."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from tests.compress.colour_student import SIZE, rectangles


def unbalanced(student: nn.Module, factor: float, channels: int = 4) -> nn.Module:
    """A colour student some of whose first channels are `factor` times larger, which its next layer takes back.

    Between them is a ReLU, so nothing changes in real arithmetic; with one scale for all channels little is left of the
    others.
    """
    student = copy.deepcopy(student)
    _, norm, _, following, *_ = student.layers
    with torch.no_grad():
        norm.weight[:channels] *= factor
        norm.bias[:channels] *= factor
        following.weight[:channels] /= factor
    return student.eval()


def train(student: nn.Module, steps: int, lr: float) -> float:
    """Train on the labels of 16 scenes with Adam; returns the last loss and leaves the student in eval mode."""
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
