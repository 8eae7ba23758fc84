"""Conversion of a teacher's part distribution to the parts of another label set."""

import torch
from torch import Tensor

from m2fp_kd.labels import Bridge

LOWEST = 1e-12
"""Smallest probability after a bridge, for parts without a counterpart; about the tail of a cached distribution."""


def cross(log_parts: Tensor, bridge: Bridge) -> Tensor:
    """Convert log parts from the teacher's label set to the student's: `q = p @ shares` in each cell.

    The whole distribution is moved, not only the most probable part, so uncertainty is kept.

    Args:
        log_parts: (N, P, h, w), over the teacher's parts.
        bridge: conversion from the teacher's label set to the student's.

    Returns:
        (N, Q, h, w), over the student's parts.
    """
    shares = torch.from_numpy(bridge.shares).to(log_parts.device)
    mass = torch.einsum("nphw,pq->nqhw", log_parts.float().exp(), shares)
    return mass.clamp(min=LOWEST).log().log_softmax(dim=1)
