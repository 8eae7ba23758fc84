"""How good, how fast and how large a model is, and the report that says so.

Nothing is imported here: ``python -m m2fp_kd.evaluation.speed.measure`` must start without PyTorch.
"""
