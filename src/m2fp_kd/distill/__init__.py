"""Distillation: teachers and their targets, losses, their weighted sum, and the training module."""
