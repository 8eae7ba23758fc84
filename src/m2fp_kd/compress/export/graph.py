"""What identifies an ONNX graph."""

import hashlib
from pathlib import Path

import onnx


def graph_sha256(path: str | Path) -> str:
    """SHA-256 of an ONNX file's graph: unlike the file's, it stays when figures are added to the embedded card."""
    return hashlib.sha256(onnx.load(path).graph.SerializeToString(deterministic=True)).hexdigest()
