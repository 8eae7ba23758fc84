"""What is needed to parse photos with an artefact: NumPy, Pillow and one inference engine, no torch."""

from m2fp_kd.runtime.parser import Parser

__all__ = ["Parser"]
