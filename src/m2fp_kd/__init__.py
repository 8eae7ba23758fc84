"""Distil M2FP human parsing into small networks that run on a CPU."""

__version__ = "0.1.0"
