"""Make the artefacts of a trained student, and check each against the model that it was made from."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import nn

from m2fp_kd.compress.export.deployable import deployable
from m2fp_kd.compress.options import CheckSettings
from m2fp_kd.compress.parity import compare, raise_failed
from m2fp_kd.compress.source import Source
from m2fp_kd.compress.steps import ArtefactStep, gate_name
from m2fp_kd.evaluation.metrics.predictions import Parse
from m2fp_kd.models.parameters import count_parameters
from m2fp_kd.runtime.artefact import Card, load_checks, save_checks
from m2fp_kd.runtime.checks import CheckResults, Hop
from m2fp_kd.runtime.engines import open_engine
from m2fp_kd.runtime.geometry import Geometry, place
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.part_map import part_map, upsampled_argmax
from m2fp_kd.versions import installed_versions

log = logging.getLogger(__name__)

GRAPH_CANVASES = 4
"""Canvases on which the end of an exported graph is checked."""

MAKERS = ("m2fp-kd", "torch", "onnx", "openvino")
"""Packages whose versions every card names."""


@dataclass(frozen=True)
class CompressionResult:
    """Artefacts of a compression and their parity.

    Attributes:
        paths: name of an artefact -> model file, in the order of the steps.
        parities: one per hop, in order.
    """

    paths: dict[str, Path]
    parities: list[Hop]

    def __add__(self, later: "CompressionResult") -> "CompressionResult":
        """Return both results, the later artefacts last."""
        return CompressionResult(self.paths | later.paths, self.parities + later.parities)

    def raise_failed(self) -> None:
        """Raise ParityError if a gate failed; call this when everything is saved."""
        raise_failed(self.parities)


def make_artefacts(
    source: Source, folder: str | Path, steps: Iterable[ArtefactStep], checks: CheckSettings
) -> CompressionResult:
    """Export a student, quantise the export, and measure the parity of every hop in f32.

    A failed gate does not raise here, so that all files are written; call `CompressionResult.raise_failed` at the end.

    Args:
        source: network with its card and photos; parameters, versions and parents are added to the cards.
        folder: folder in which every step writes into `NAME/`.
        steps: steps in an order that `check_order` accepts.
        checks: gates, threads and precision.
    """
    installed = installed_versions()
    parameters = count_parameters(source.student)
    card = replace(
        source.card,
        parameters=parameters,
        versions=source.card.versions | {name: installed[name] for name in MAKERS if name in installed},
    )
    source = replace(source, card=card)
    steps = list(steps)
    result, parses = CompressionResult({}, []), {"PyTorch": torch_parse(source.student, card)}
    for step in steps:
        before = step.made_from or (source.fp32.parent.name if source.fp32 else "PyTorch")
        path = step(source, Path(folder) / step.name)
        if not getattr(step, "runs", True):
            log.warning("%s was converted and never run: no engine here runs it, so it is not checked", path)
            continue
        parser = Parser.load(path, threads=checks.threads, keep=False)
        hop, gate = f"{before} -> {step.name}", checks.gates[gate_name(step, steps)]
        photos = track(source.photos, hop)
        parity = compare(hop, parses[before], parser.part_map, photos, parser.labels, gate, source.truth)
        engine = parser.engine
        save_checks(path, CheckResults(engine.name, engine.precision, (*source.parity, parity)))
        result += CompressionResult({step.name: path}, [parity])
        parses[step.name] = parser.part_map
        check_graph(path, source, checks.threads)
        if path.suffix == ".onnx" and step.kind == "export":
            source = replace(source, fp32=path)
    if checks.precision == "auto":
        result += _check_precision(parser, [*result.paths.values()][-1], source, checks)
    return result


def check_graph(path: Path, source: Source, threads: int | None) -> None:
    """Check that the part map of an ONNX or OpenVINO file is the one of its part logits.

    Our runtime does not compute this output of the graph, but other users of the file do.

    Raises:
        RuntimeError: the two differ, so the exporter or the quantiser broke the graph.
    """
    if path.suffix not in (".onnx", ".xml"):
        return
    engine = open_engine(path, threads=threads, outputs=["part_map", "part_logits"])
    for canvas in source.canvases(GRAPH_CANVASES):
        found = engine(canvas)
        agreement = float((found["part_map"][0] == upsampled_argmax(found["part_logits"][0])).mean())
        if agreement < 0.999:
            raise RuntimeError(
                f"{path}: part_map and part_logits agree on {100 * agreement:.1f} % of pixels only: a broken export"
            )


def torch_parse(student: nn.Module, card: Card) -> Parse:
    """Copy the student to the CPU; return a function from photo to part map at the photo's size."""
    network = deployable(student, card)
    geometry = Geometry(**card.geometry)

    @torch.inference_mode()
    def parse(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        canvas, placement = place(photo, geometry)
        part_logits, *_ = network.logits(torch.from_numpy(canvas[None]))
        return part_map(part_logits[0].numpy(), placement)

    return parse


def _check_precision(parser: Parser, path: Path, source: Source, checks: CheckSettings) -> CompressionResult:
    """Check an artefact in the precision that the engine chooses; check nothing if it chooses f32."""
    served = Parser.load(path, threads=checks.threads, precision="auto", keep=False)
    chosen = served.engine.precision
    if chosen == "f32":
        log.info("%s computes in f32 on this CPU; there is no other precision to check", served.engine.name)
        return CompressionResult({}, [])
    hop = f"{path.parent.name} f32 -> {path.parent.name} {chosen}"
    gate = checks.gates["precision"]
    photos = track(source.photos, hop)
    parity = compare(hop, parser.part_map, served.part_map, photos, served.labels, gate, source.truth)
    known = load_checks(path)
    save_checks(path, replace(known, parity=(*known.parity, parity)))
    return CompressionResult({}, [parity])
