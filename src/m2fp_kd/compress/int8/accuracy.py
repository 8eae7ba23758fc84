"""Quantise to INT8 within bounds: leave the layers in fp32 that harm the parts most."""

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from m2fp_kd.compress.export.onnx import write_artefact
from m2fp_kd.compress.int8.float_layers import quantised_layers, with_float_layers
from m2fp_kd.compress.int8.onnx_passes import shorten_names
from m2fp_kd.compress.int8.static import load_for_int8, post_training_int8, single_images
from m2fp_kd.evaluation.metrics.miou import Confusion, iou, miou
from m2fp_kd.evaluation.metrics.predictions import LabelledPhoto, Parse, predictions, total_confusion
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.parser import Parser

MEAN = "mIoU"


@dataclass(frozen=True)
class Answer:
    """A `LabelledPhoto` whose label is the fp32 network's part map."""

    name: str
    image: NDArray[np.uint8]
    parts: NDArray[np.uint8]


@dataclass(frozen=True)
class Drops:
    """Points of IoU lost against the fp32 network; gains are negative.

    Attributes:
        miou: loss of the mean.
        parts: loss by part, without parts that are in neither truth nor prediction.
    """

    miou: float
    parts: dict[str, float]


@dataclass(frozen=True)
class Bounds:
    """Points (hundredths) of IoU that INT8 may lose against the fp32 network.

    Attributes:
        max_miou_drop: largest loss of the mean over all parts.
        max_part_drop: largest loss of each of `parts`; None for no limit.
        parts: names of parts; None for all.
    """

    max_miou_drop: float
    max_part_drop: float | None = None
    parts: tuple[str, ...] | None = None

    def broken(self, drops: Drops) -> dict[str, float]:
        """Return "mIoU" or a part -> points lost beyond its bound."""
        limits = {MEAN: self.max_miou_drop}
        if self.max_part_drop is not None:
            limits |= dict.fromkeys(self.parts or drops.parts, self.max_part_drop)
        lost = {MEAN: drops.miou} | drops.parts
        return {name: lost[name] - limit for name, limit in limits.items() if lost.get(name, -math.inf) > limit}

    def excess(self, drops: Drops) -> float:
        """Return the largest loss beyond a bound; 0 if all hold."""
        return max(self.broken(drops).values(), default=0.0)


@dataclass(frozen=True)
class AccuracyControl:
    """Result of accuracy control.

    Attributes:
        float_layers: layer left in fp32 -> its harm, worst first: points of IoU that INT8 gains when that layer alone
            is fp32 (mean over the parts that were out of bounds, on the photos that INT8 changed most, against the fp32
            network's part maps). Layers that were ranked together share a figure.
        before: drops with every layer in INT8.
        after: drops of the file that was written.
        held: whether the bounds hold.
        evaluations: number of networks that were evaluated.
    """

    float_layers: dict[str, float]
    before: Drops
    after: Drops
    held: bool
    evaluations: int

    def __str__(self) -> str:
        layers = ", ".join(f"{name} ({harm:+.2f})" for name, harm in self.float_layers.items()) or "none"
        verdict = "bounds hold" if self.held else "bounds do not hold, this is the best file found"
        worst = max(self.before.parts, key=lambda name: self.before.parts[name])
        return (
            f"{verdict} ({self.evaluations} evaluations): mIoU lost {self.before.miou:.2f} -> {self.after.miou:.2f} "
            f"points, {worst} {self.before.parts[worst]:.2f} -> {self.after.parts.get(worst, 0.0):.2f}; "
            f"left in fp32: {layers}"
        )


def quantise_with_accuracy_control(
    fp32: str | Path,
    canvases: Iterable[NDArray[np.uint8]],
    int8: str | Path,
    card: Card,
    photos: Iterable[LabelledPhoto],
    bounds: Bounds,
    max_evaluations: int = 250,
    ranking_photos: int = 24,
    threads: int | None = None,
) -> AccuracyControl:
    """Quantise to static INT8 with the fewest layers in fp32 that keep the bounds.

    A layer's harm is how much closer INT8 comes to fp32, in the IoU of the parts that are out of bounds, when that
    layer alone is float. The worst layers are then reverted together, 1, 2, 4 and so on until the bounds hold, and
    their number is bisected. NNCF's `quantize_with_accuracy_control` does not suffice: it bounds a single number; it
    ranks by figures per photo, but the IoU of a rare part is one ratio over all photos; and nothing caps the cost of
    its ranking.

    Args:
        fp32: file written by `export_onnx`.
        canvases: calibration canvases, see `quantise_static`.
        int8: file to write; if the bounds cannot be held within the cap, the best file found.
        card: card of the INT8 artefact; `float_layers` are filled in.
        photos: validation photos; they are iterated several times, so not a generator. The truth of a photo without
            label is the fp32 network's part map.
        bounds: loss that INT8 may cause.
        max_evaluations: largest number of evaluated networks, most of them for ranking, over few photos. If there are
            more layers, neighbours are ranked together.
        ranking_photos: number of photos to rank layers on, those that INT8 changed most.
        threads: CPU threads of the engine; None leaves it to the engine.

    Raises:
        ValueError: there are no canvases or no photos, a part is unknown, or the cap allows no search.
    """
    if unknown := sorted(set(bounds.parts or ()) - set(card.labels.parts)):
        raise ValueError(f"bounds name {unknown}, but the parts are {', '.join(card.labels.parts)}")
    network = load_for_int8(fp32)
    quantised = post_training_int8(network, single_images(canvases))
    layers = quantised_layers(quantised)

    def write(float_layers: Iterable[str], path: Path, card: Card) -> None:
        model = with_float_layers(quantised, network, {node for layer in float_layers for node in layers[layer]})
        shorten_names(model)
        write_artefact(model, path, card)

    with TemporaryDirectory() as folder:
        trial = Path(folder) / "model.onnx"

        def parse(float_layers: Iterable[str]) -> Parse:
            write(float_layers, trial, card)
            return _parse(trial, threads)

        validation = _Validation(_parse(Path(fp32), threads), photos, card.labels)
        drops = {0: validation.drops(parse(()))}
        ranked: dict[str, float] = {}
        evaluations = 1
        if broken := bounds.broken(drops[0]):
            parts = [part for part in broken if part != MEAN] or bounds.parts or card.labels.parts
            groups = _neighbours(list(layers), max_evaluations)
            ranked = _rank(groups, parse, validation, parts, ranking_photos)
            evaluations += len(groups) + 1
            drops |= _search(
                lambda count: validation.drops(parse(list(ranked)[:count])),
                len(ranked),
                bounds,
                max_evaluations - evaluations,
            )
            evaluations += len(drops) - 1
    best = min(drops, key=lambda count: (bounds.excess(drops[count]), count))
    float_layers = dict(list(ranked.items())[:best])
    write(float_layers, Path(int8), replace(card, float_layers=float_layers))
    return AccuracyControl(float_layers, drops[0], drops[best], not bounds.broken(drops[best]), evaluations)


class _Validation:
    """Validation photos and the fp32 network's scores on them."""

    def __init__(self, fp32: Parse, photos: Iterable[LabelledPhoto], labels: LabelSet) -> None:
        self.fp32, self.photos, self.labels = fp32, photos, labels
        self.reference = self._against_truth(fp32)
        if not self.reference.any():
            raise ValueError(
                "accuracy control needs labelled pixels, but the labels of all photos are ignored; check them"
            )

    def drops(self, parse: Parse) -> Drops:
        """Return the losses of a network on all photos."""
        matrix = self._against_truth(parse)
        lost = 100 * (iou(self.reference) - iou(matrix))
        parts = {part: float(value) for part, value in zip(self.labels.parts, lost, strict=True) if value == value}
        return Drops(100 * (miou(self.reference) - miou(matrix)), parts)

    def most_changed(self, parse: Parse, parts: Collection[str], count: int) -> list[Answer]:
        """Return the photos in which a network moves most pixels to or from some parts."""
        rows = [self.labels.parts.index(part) for part in parts]
        moved = []
        for found in predictions(self.photos, (self.fp32, parse), self.labels):
            matrix = found.between(0, 1)
            moved.append(matrix[rows].sum() + matrix[:, rows].sum() - 2 * matrix[rows, rows].sum())
        chosen = set(np.argsort(moved, stable=True)[::-1][:count].tolist())
        return [self._answer(photo) for index, photo in enumerate(self.photos) if index in chosen]

    def nearness(self, parse: Parse, parts: Collection[str], answers: Iterable[Answer]) -> float:
        """Return the mean IoU (points) of some parts against the fp32 network's part maps."""
        alike = np.nan_to_num(iou(self._total(parse, answers)), nan=1.0)  # neither network sees the part
        return 100 * float(alike[[self.labels.parts.index(part) for part in parts]].mean())

    def _against_truth(self, parse: Parse) -> Confusion:
        return self._total(parse, (self._answer(photo) if photo.parts is None else photo for photo in self.photos))

    def _answer(self, photo: LabelledPhoto) -> Answer:
        return Answer(photo.name, photo.image, self.fp32(photo.image))

    def _total(self, parse: Parse, photos: Iterable[LabelledPhoto]) -> Confusion:
        return total_confusion(predictions(photos, [parse], self.labels))


def _neighbours(layers: list[str], max_evaluations: int) -> list[tuple[str, ...]]:
    """Group neighbouring layers so that ranking leaves the search its share of the evaluations."""
    most = max_evaluations - 2 - 2 * math.ceil(math.log2(len(layers) + 1))
    if most < 1:
        raise ValueError(
            f"max_evaluations={max_evaluations} leaves none to rank layers; set at least {max_evaluations + 1 - most}"
        )
    return [tuple(group.tolist()) for group in np.array_split(layers, min(most, len(layers)))]


def _rank(
    groups: Iterable[tuple[str, ...]],
    parse: Callable[[Iterable[str]], Parse],
    validation: _Validation,
    parts: Collection[str],
    count: int,
) -> dict[str, float]:
    """Return layer -> its harm to some parts, worst first."""
    quantised = parse(())
    answers = validation.most_changed(quantised, parts, count)
    start = validation.nearness(quantised, parts, answers)
    harms = {
        group: validation.nearness(parse(group), parts, answers) - start for group in track(groups, "ranking layers")
    }
    worst_first = sorted(harms, key=lambda group: harms[group], reverse=True)
    return {layer: harms[group] for group in worst_first for layer in group}


def _search(evaluate: Callable[[int], Drops], layers: int, bounds: Bounds, budget: int) -> dict[int, Drops]:
    """Search for the least number of float layers that keep the bounds; return number -> drops for all tried."""
    tried: dict[int, Drops] = {}
    failed, holding = 0, None
    while len(tried) < budget and failed < layers and (holding is None or holding - failed > 1):
        count = min(2 * failed or 1, layers) if holding is None else (failed + holding) // 2
        tried[count] = evaluate(count)
        if bounds.broken(tried[count]):
            failed = count
        else:
            holding = count
    return tried


def _parse(path: Path, threads: int | None) -> Parse:
    return Parser.load(path, threads=threads, keep=False).part_map
