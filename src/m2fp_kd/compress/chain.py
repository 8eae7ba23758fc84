"""The whole way from a trained student to its artefacts, each checked against the model before it."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import nn

from m2fp_kd.compress.deploy import Deployable
from m2fp_kd.compress.export import export_onnx, graph_sha256
from m2fp_kd.compress.parity import Gate, Parity, compare, raise_failed
from m2fp_kd.compress.quantise import quantise_static
from m2fp_kd.evaluation.evaluate import LabelledPhoto, Parse
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.geometry import Geometry, place, restore_map
from m2fp_kd.runtime.parser import Parser

FP32_HOP = "PyTorch -> ONNX fp32"
INT8_HOP = "ONNX fp32 -> INT8"


@dataclass(frozen=True)
class CompressionResult:
    """What compression made and how well it agrees.

    Attributes:
        paths: "fp32" and "int8" -> model file.
        parities: one per hop, in order.
    """

    paths: dict[str, Path]
    parities: list[Parity]

    def raise_failed(self) -> None:
        """Raise ParityError if a gate failed; call it when everything is saved."""
        raise_failed(self.parities)


def compress_student(
    student: nn.Module,
    folder: str | Path,
    card: Card,
    calibration: Iterable[NDArray[np.uint8]],
    photos: Iterable[LabelledPhoto],
    gates: Mapping[str, Gate],
    threads: int | None = None,
) -> CompressionResult:
    """Export a student, quantise the export, and measure the parity of both hops in f32 arithmetic.

    A failed gate raises nothing here: the files stay, and `CompressionResult.raise_failed` comes last.

    Args:
        student: trained network, on any device and in any mode; it is not changed.
        folder: gets `fp32/model.onnx` and `int8/model.onnx` with their cards.
        card: of the fp32 artefact; parity, sizes, versions and the INT8 artefact's parents are filled in.
        calibration: uint8 (N, h, w, 3) batches of placed training photos.
        photos: validation photos; gone through once per hop, so not a generator.
        gates: limits of "fp32" and of "int8".
        threads: CPU threads of the engine; None leaves it to the engine.
    """
    paths = {name: Path(folder) / name / "model.onnx" for name in ("fp32", "int8")}
    parameters = sum(weight.numel() for weight in student.parameters())
    card = replace(
        card, sizes=card.sizes | {"parameters": parameters}, versions=card.versions | _versions("torch", "onnx")
    )
    export_onnx(student, paths["fp32"], card)
    fp32, before = Parser.load(paths["fp32"], threads=threads), torch_parse(student, card)
    first = _check(FP32_HOP, before, fp32, photos, gates["fp32"], paths["fp32"])

    int8_card = replace(
        card,
        precision="int8",
        parents=card.parents | {"fp32 graph": graph_sha256(paths["fp32"])},
        versions=card.versions | _versions("nncf", "onnxruntime"),
    )
    quantise_static(paths["fp32"], calibration, paths["int8"], int8_card)
    int8 = Parser.load(paths["int8"], threads=threads)
    second = _check(INT8_HOP, artefact_parse(fp32), int8, photos, gates["int8"], paths["int8"])
    return CompressionResult(paths, [first, second])


def torch_parse(student: nn.Module, card: Card) -> Parse:
    """A copy of the student in PyTorch, on the CPU and in eval mode, from photo to part map at the photo's own size."""
    deployable = Deployable(copy.deepcopy(student), card.head).cpu().eval()
    geometry = Geometry(**card.geometry)

    @torch.inference_mode()
    def parse(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        canvas, placement = place(photo, geometry)
        return restore_map(deployable(torch.from_numpy(canvas[None]))[0][0].numpy(), placement)

    return parse


def artefact_parse(parser: Parser) -> Parse:
    """An artefact, from photo to part map at the photo's own size."""
    return lambda photo: parser(photo).part_map


def _check(hop: str, before: Parse, after: Parser, photos: Iterable[LabelledPhoto], gate: Gate, path: Path) -> Parity:
    """Measure a hop and write it into the card of the artefact behind it."""
    parity = compare(hop, before, artefact_parse(after), track(photos, hop), after.labels, gate)
    engine = after.engine
    facts = {name: value for name, value in asdict(parity).items() if name != "hop"}
    save_card(path, replace(after.card, engine=engine.name, arithmetic=engine.arithmetic, parity={hop: facts}))
    return parity


def _versions(*packages: str) -> dict[str, str]:
    return {package: version(package) for package in packages}
