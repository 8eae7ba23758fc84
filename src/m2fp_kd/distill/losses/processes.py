"""Sums over the processes of a distributed training, so that a loss is that of all their photos.

A mean over a process's own pixels or masks is not enough: processes differ in their numbers of ignored pixels and of
masks, and the mean of their means weights the photos of each unequally.

Every process gets the same value, and a gradient that DDP's mean over the processes turns into the exact one. All
processes must call these functions equally often and in the same order. Without processes, they return their argument.
"""

import torch.distributed
from torch import Tensor


def of_all_processes(own: Tensor) -> Tensor:
    """Concatenate the tensors of all processes, of the same shape, along the first axis.

    The gradient of a process's own part is multiplied by the number of processes, since DDP divides by it; the others'
    parts are constants.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return own
    count = torch.distributed.get_world_size()
    parts = [torch.empty_like(own) for _ in range(count)]
    torch.distributed.all_gather(parts, own.detach().contiguous())
    if own.requires_grad:
        parts[torch.distributed.get_rank()] = own.detach() + count * (own - own.detach())
    return torch.cat(parts)


def sum_of_processes(own: Tensor) -> Tensor:
    """Return the sum of the tensors of all processes, of the same shape."""
    return of_all_processes(own[None]).sum(dim=0)
