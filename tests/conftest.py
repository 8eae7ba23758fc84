"""Shared by all tests: one thread, since tiny networks lose more to synchronisation than they gain."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)
