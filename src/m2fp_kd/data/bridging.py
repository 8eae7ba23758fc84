"""A teacher's part distribution, handed on to a student that knows other parts."""

import torch
from torch import Tensor

from m2fp_kd.labels import Bridge

LOWEST = 1e-12
"""Smallest probability after a bridge, of parts that the teacher has nothing for; about that of a cache's tail."""


def cross(log_parts: Tensor, bridge: Bridge) -> Tensor:
    """Log parts over the teacher's parts (N, P, h, w) to log parts over the student's: `q = p @ shares` in each cell.

    All of the mass is moved, not the most probable part: what was uncertain stays so.
    """
    shares = torch.from_numpy(bridge.shares).to(log_parts.device)
    mass = torch.einsum("nphw,pq->nqhw", log_parts.float().exp(), shares)
    return mass.clamp(min=LOWEST).log().log_softmax(dim=1)
