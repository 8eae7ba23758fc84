"""Compress a trained student into artefacts, and check each against it."""
