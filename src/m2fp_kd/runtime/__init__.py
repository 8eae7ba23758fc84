"""Parse photos with an artefact; needs NumPy, Pillow and one inference engine, not torch."""

from m2fp_kd.runtime.parser import Parser

__all__ = ["Parser"]
