"""Quality, speed and size of a model, and the report that shows them.

Nothing is imported here: ``python -m m2fp_kd.evaluation.speed.measure`` must start without PyTorch.
"""
