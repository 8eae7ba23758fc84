"""Synthetic scenes of people, drawn from a seed with exact labels."""

from .dataset import write_dataset
from .scene import draw_scene

__all__ = ["draw_scene", "write_dataset"]
