"""An artefact that needs no training, and labelled photos that it parses perfectly."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.geometry import Geometry
from tests.runtime.conftest import COLOURS, write_model


def write_artefact(folder: Path) -> Path:
    """Write an artefact of input size 64 that predicts the strongest colour channel."""
    write_model(folder / "model.onnx")
    save_card(folder / "model.onnx", Card(COLOURS.to_dict(), asdict(Geometry(64)), "fp32", "fpn"))
    return folder


def write_stripes(root: Path, split: str, count: int) -> None:
    """Write photos (32, 48) of a red, a green and a blue third in M2FP's layout, with parts 0, 1 and 2."""
    parts = np.repeat(np.arange(3, dtype=np.uint8), 16)[None].repeat(32, axis=0)
    photo = (np.eye(3, dtype=np.uint8) * 200)[parts]
    for folder, pixels in (("Images", photo), ("Category_ids", parts)):
        (root / split / folder).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(pixels).save(root / split / folder / f"{index}.png")
