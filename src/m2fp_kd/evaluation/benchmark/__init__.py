"""Compare speed, memory, size and quality of artefacts: ``m2fp-kd benchmark``."""
