"""What artefacts cost and reach, side by side: ``python -m m2fp_kd.evaluation.benchmark``."""
