"""Collect scores, times and pictures of a finished run into its report."""

import datetime
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.layouts import Record, data_sha256
from m2fp_kd.data.reading import Photo
from m2fp_kd.data.spacing import evenly_spaced
from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.distill.teachers.tta import Tta
from m2fp_kd.distill.teachers.whole_photo import WholePhotoTeacher
from m2fp_kd.evaluation.metrics.evaluate import Scores
from m2fp_kd.evaluation.report.curves import read_curves
from m2fp_kd.evaluation.report.pictures import Picture
from m2fp_kd.evaluation.report.results import DataSummary, ModelResult, RunReport
from m2fp_kd.evaluation.speed.cpu import describe_cpu
from m2fp_kd.evaluation.speed.expected_speedup import expected_speedup
from m2fp_kd.evaluation.speed.macs import count_macs
from m2fp_kd.evaluation.speed.measure import Measurement, measure_callable
from m2fp_kd.labels import load_label_set
from m2fp_kd.models.fold import fold_batch_norm
from m2fp_kd.models.parameters import count_parameters
from m2fp_kd.pipeline.assemble.teacher import Teacher
from m2fp_kd.pipeline.record.latency import write_latency
from m2fp_kd.pipeline.record.scoring import ModelScores, ParsePhoto, Scoring
from m2fp_kd.pipeline.record.teacher_parts import teacher_parse
from m2fp_kd.pipeline.record.teacher_scores import kept_scores
from m2fp_kd.runtime.artefact import Card, load_card
from m2fp_kd.runtime.checks import Hop
from m2fp_kd.runtime.geometry import Geometry, read_photo
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.provenance import Lineage, without_folders
from m2fp_kd.versions import installed_versions

log = logging.getLogger(__name__)

PICTURES = 12


def build_report(
    cfg: DictConfig,
    datamodule: ParsingDataModule,
    teacher: Teacher,
    artefacts: dict[str, Path],
    parity: list[Hop],
    lineage: Lineage,
) -> tuple[RunReport, list[Picture]]:
    """Score every model on the test photos (without them, the validation photos), through its own inference path.

    Args:
        cfg: configuration of the run.
        datamodule: validation and test records.
        teacher: teacher of the run.
        artefacts: "student_NAME" -> exported model.
        parity: hops of the run, in order.
        lineage: lineage of the student.

    Returns:
        The report, and the photos to show in it with every model's part map.
    """
    records = [record for found in datamodule.scored.values() for record in found]
    parse = {name: _artefact_parse(path, cfg.compress.threads) for name, path in artefacts.items()}
    models = {}
    by_teacher = teacher_parse(teacher, datamodule, records)
    scoring = Scoring(datamodule, by_teacher)
    if by_teacher is not None:
        parse = {"teacher": by_teacher} | parse
        scored = _teacher_scores(teacher, lambda: scoring(by_teacher).fields, records, datamodule)
        models["teacher"] = _teacher_result(teacher, scored, records, cfg, datamodule)
    shares: dict[str, float] = {}
    for name, path in artefacts.items():
        scores = scoring(parse[name])
        models[name] = _artefact_result(path, scores, records, cfg, artefacts.values())
        shares = scores.own.shares(datamodule.labels) if scores.own else {}
    if absent := [part for part, share in shares.items() if not share]:
        log.warning(
            "the labels of the %s never name %d parts of '%s': %s. If they are labels of another label set, the scores "
            "mean nothing: check data.labels",
            scoring.photos, len(absent), datamodule.labels.name, ", ".join(absent),
        )  # fmt: skip
    cpu = describe_cpu()
    report = RunReport(
        name=cfg.name,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        labels=datamodule.labels,
        models=models,
        parity=list(parity),
        shares=shares,
        curves=_curves(Path(cfg.run_dir)),
        data=_data_summary(cfg.data.name, datamodule, scoring, parity),
        lineage=lineage,
        config=without_folders(OmegaConf.to_container(cfg, resolve=True)),
        versions=installed_versions(),
        cpu=asdict(cpu) | {"expected_speedup": expected_speedup(cpu)},
    )
    return report, [_picture(scoring.read_own(record), parse) for record in evenly_spaced(records, PICTURES)]


def _data_summary(name: str, datamodule: ParsingDataModule, scoring: Scoring, parity: list[Hop]) -> DataSummary:
    return DataSummary(
        name=name,
        training_photos=len(datamodule.train),
        unlabelled_photos=len(datamodule.unlabelled),
        validation_photos=len(datamodule.val),
        scored_on=scoring.photos,
        scored_photos=len(scoring.own),
        sha256=datamodule.sha256(),
        scored_sha256=data_sha256(scoring.own),
        ungated=_ungated(scoring, parity),
    )


def _ungated(scoring: Scoring, parity: list[Hop]) -> list[str]:
    """Return the sources of a mix whose scores no gate limits."""
    gated = {one.source for hop in parity for one in hop.sources}
    if any(hop.miou_change is not None for hop in parity) and len(scoring.own_sources) == 1:
        gated |= set(scoring.own_sources)
    return [name for name in scoring.sources if scoring.mixed and name not in gated]


def _artefact_parse(path: Path, threads: int | None) -> ParsePhoto:
    parser = Parser.load(path, threads=threads, keep=False)
    return lambda photo: parser(photo.image)


def _teacher_scores(
    teacher: Teacher, score: Callable[[], dict[str, Any]], records: list[Record], datamodule: ParsingDataModule
) -> dict[str, Any]:
    """Score a teacher; reuse earlier scores of a network with a cache, unless photos lack labels."""
    if teacher.whole is None or datamodule.cache is None or not all(record.categories for record in records):
        return score()
    return kept_scores(datamodule.cache.path.parent, teacher.card, records, score)


def _teacher_result(
    teacher: Teacher, scored: dict[str, Any], records: list[Record], cfg: DictConfig, datamodule: ParsingDataModule
) -> ModelResult:
    whole, note = teacher.whole, "timed in the training process"
    if whole is None:
        whole, note = _stand_in(teacher, cfg, datamodule), "timed in the training process, with random weights"
    if whole is not None and whole.views > 1:
        note += f", {whole.views} forward passes per photo"
    if teacher.card.bridge:
        note += f"; its parts pass through the bridge {teacher.card.bridge}"
    times = _teacher_times(whole, records, cfg.compress.threads) if whole else {}
    notes = [note] if times else []
    if not all(record.categories for record in records):
        notes.append("scored against its own part maps, so its mIoU says nothing")
    return ModelResult(
        **scored,
        **times,
        megabytes=teacher.card.megabytes,
        parameters=teacher.card.parameters,
        engine="pytorch",
        precision="f32",
        note="; ".join(notes) or None,
    )


def _stand_in(teacher: Teacher, cfg: DictConfig, datamodule: ParsingDataModule) -> WholePhotoTeacher | None:
    """Build the network of a cache without weights, to time it; None if the configured network has another size."""
    network = instantiate(cfg.teacher.network)
    if count_parameters(network) != teacher.card.parameters:
        return None
    fold_batch_norm(network.eval())
    tta = Tta(**(teacher.card.tta or {}))
    labels = load_label_set(cfg.teacher.labels)
    model = PartModel(network, labels, Geometry(teacher.card.size or cfg.data.size))
    return WholePhotoTeacher([model], datamodule.geometry, tta)


def _teacher_times(whole: WholePhotoTeacher, records: list[Record], threads: int | None) -> dict[str, Any]:
    """Time the teacher per photo in PyTorch on this CPU, with the students' number of threads; None: PyTorch's own."""
    photos = [read_photo(record.image) for record in evenly_spaced(records, 4)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    whole.to("cpu")
    try:
        timed = measure_callable(whole.parse, photos, runs=8)
    finally:
        torch.set_num_threads(before)
    return {
        "p50_ms": timed.p50_ms,
        "p95_ms": timed.p95_ms,
        "other_cores": timed.other_cores,
        "threads": threads,
    }


def _artefact_result(
    path: Path, scores: ModelScores, records: list[Record], cfg: DictConfig, made: Iterable[Path]
) -> ModelResult:
    """Measure an artefact; its latency is also written into its check results."""
    timed = write_latency(path, [record.image for record in evenly_spaced(records, 16)], cfg.compress.threads, made)
    card = load_card(path)
    return ModelResult(
        **scores.fields,
        megabytes=timed.megabytes,
        p50_ms=timed.p50_ms,
        p95_ms=timed.p95_ms,
        other_cores=timed.other_cores,
        peak_mb=timed.peak_mb,
        parameters=card.parameters,
        gmacs=_gmacs(path, timed),
        threads=timed.threads,
        engine=timed.engine,
        precision=timed.precision,
        note=_note(card, scores.own),
    )


def _note(card: Card, scores: Scores | None) -> str | None:
    notes = [f"left in fp32: {', '.join(card.float_layers)}"] if card.float_layers else []
    if scores is not None and scores.unscored:
        notes.append(f"persons are not scored, because {scores.unscored}")
    return "; ".join(notes) or None


def _gmacs(path: Path, timed: Measurement) -> float | None:
    """Return 10^9 multiply-accumulates for the first timed photo; None if the file is not an ONNX graph."""
    if path.suffix != ".onnx" or timed.network is None:
        return None
    height, width = timed.network
    return count_macs(path, (height, width)).total / 1e9


def _picture(photo: Photo, parse: dict[str, ParsePhoto]) -> Picture:
    maps = {"truth": photo.parts} if photo.parts is not None else {}
    return Picture(photo.name, photo.image, maps | {name: parser(photo).part_map for name, parser in parse.items()})


def _curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Read the learning curves from all logs of the run; a resumed run has several, in order."""
    curves: dict[str, list[tuple[int, float]]] = {}
    logs = {path.parent.name.removeprefix("version_"): path for path in folder.glob("metrics/version_*/metrics.csv")}
    for version in sorted(filter(str.isdecimal, logs), key=int):
        for name, points in read_curves(logs[version]).items():
            before = [point for point in curves.get(name, []) if point[0] < points[0][0]]
            curves[name] = before + points
    return curves
