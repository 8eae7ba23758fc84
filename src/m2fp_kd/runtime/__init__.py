"""What is needed to parse photos with an artefact: NumPy, Pillow and one inference engine, no torch."""
