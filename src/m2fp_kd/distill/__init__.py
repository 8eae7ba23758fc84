"""Distillation: targets, losses, their weighted sum, teachers and the training module."""
