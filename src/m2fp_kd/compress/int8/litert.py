"""Quantise a LiteRT model to INT8 with the AI Edge quantiser."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import nn

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, kind_of, require
from m2fp_kd.compress.export.litert import to_litert, write_litert
from m2fp_kd.compress.int8.static import single_images
from m2fp_kd.compress.options import STRICT, Count, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card


def quantise_litert(network: nn.Module, canvases: Iterable[NDArray[np.uint8]], path: str | Path, card: Card) -> None:
    """Quantise a network to static INT8 and write it as a LiteRT model, with `card.json` beside it.

    Weights are int8, symmetric with one scale per channel; activations are int8 with one scale per tensor. Input and
    outputs keep their types.

    Args:
        network: student or M2FP.
        canvases: uint8 (N, h, w, 3) batches of placed training photos of the card's geometry, about 300 in total.
        path: `.tflite` file to write.
        card: card of the INT8 artefact.

    Raises:
        Unsupported: this network cannot be quantised for LiteRT.
        ValueError: there are no canvases.
    """
    require(Cell("litert", "int8", kind_of(network, card), card.geometry["fixed"]))
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    images = single_images(canvases)
    with TemporaryDirectory() as folder:
        float_model, int8_model = Path(folder, "fp32.tflite"), Path(folder, "int8.tflite")
        float_model.write_bytes(to_litert(network, card))
        ((signature, names),) = Interpreter(str(float_model)).get_signature_list().items()
        quantiser = quantizer.Quantizer(str(float_model))
        quantiser.load_quantization_recipe(recipe.static_wi8_ai8())
        quantiser.update_quantization_recipe(
            regex=".*",
            operation_name=recipe.TFLOperationName.OUTPUT,
            algorithm_key=recipe.AlgorithmName.NO_QUANTIZE,
        )
        (images_name,) = names["inputs"]
        measured = quantiser.calibrate({signature: [{images_name: image} for image in images]})
        quantiser.quantize(measured).export_model(str(int8_model))
        write_litert(int8_model.read_bytes(), path, card)


@dataclass(frozen=True, config=STRICT)
class LiteRTInt8:
    """Quantise statically to INT8 LiteRT."""

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "litert"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "int8_litert"
    calibration_photos: Count = 300

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.tflite"
        card = source.int8_card("ai-edge-quantizer", "litert-torch")
        quantise_litert(source.student, source.canvases(self.calibration_photos), path, card)
        return path
