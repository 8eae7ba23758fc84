"""Compression: from a trained student to artefacts that were checked against it."""
