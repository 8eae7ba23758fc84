"""A student that learns the colours of rectangles within seconds, and photos for it."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from m2fp_kd.data.reading import Photo
from m2fp_kd.labels import LabelSet, distinct_colours
from m2fp_kd.models.backbones import Backbone
from m2fp_kd.models.m2fp_student import M2FPStudent
from m2fp_kd.models.normalise import Normalise
from m2fp_kd.models.outputs import StudentOutput
from m2fp_kd.runtime.geometry import Geometry, place

COLOURS = LabelSet("colours", ("background", "red", "green", "blue"), distinct_colours(4))
PAINTS = np.array([(110, 110, 110), (200, 60, 60), (60, 200, 60), (60, 60, 200)])
SIZE = 64


class ColourStudent(nn.Module):
    """Three convolutions with BatchNorm to stride 4, one of them depthwise, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16, bias=False),
            nn.BatchNorm2d(16),
            nn.Hardswish(),
            nn.Conv2d(16, 32, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.classifier = nn.Conv2d(32, COLOURS.num_parts, 1)

    def forward(self, images: Tensor) -> StudentOutput:
        return StudentOutput(self.classifier(self.layers(self.normalise(images))))


def rectangles(seed: int, height: int = 60, width: int = 64) -> Photo:
    """Draw noisy coloured rectangles on grey, with their labels."""
    rng = np.random.default_rng(seed)
    parts = np.zeros((height, width), np.uint8)
    for part in (1, 2, 3, 1, 2, 3):
        top, left = rng.integers(0, height - 12), rng.integers(0, width - 12)
        parts[top : top + rng.integers(8, 30), left : left + rng.integers(8, 30)] = part
    image = PAINTS[parts] + rng.normal(0, 12, (height, width, 3))
    return Photo(f"rectangles{seed}", image.clip(0, 255).astype(np.uint8), parts)


def canvases(seeds: range) -> list[NDArray[np.uint8]]:
    """Yield placed photos, uint8 (1, SIZE, SIZE, 3) each."""
    return [place(rectangles(seed).image, Geometry(SIZE))[0][None] for seed in seeds]


class TinyBody(nn.Module):
    """Five strided convolutions; returns the levels at strides 4 to 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.stages = nn.ModuleList(nn.Conv2d(8, 8, 3, stride=2, padding=1) for _ in range(4))

    def forward(self, images: Tensor) -> list[Tensor]:
        levels = [self.stem(images).relu()]
        for stage in self.stages:
            levels.append(stage(levels[-1]).relu())
        return levels[1:]


def tiny_m2fp_student(labels: LabelSet) -> M2FPStudent:
    """Return a mask-classification student with random weights, in eval mode."""
    backbone = Backbone(TinyBody(), (8, 8, 8, 8))
    return M2FPStudent(backbone, labels.num_parts, labels.has_human, width=32, queries=12, layers=2, heads=4).eval()
