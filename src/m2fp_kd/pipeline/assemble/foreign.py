"""Load teachers that are not networks of this project: models of `transformers`, and exported models."""

from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import nn

from m2fp_kd.checkpoints.hugging_face import HUB_NAME, load_hugging_face
from m2fp_kd.checkpoints.network import CheckpointError
from m2fp_kd.distill.teachers.artefacts import SUFFIXES, open_artefact, open_foreign_artefact
from m2fp_kd.labels import LABEL_SETS, LabelSet
from m2fp_kd.labels.classes import class_shares
from m2fp_kd.models.foreign import ForeignNetwork
from m2fp_kd.models.outputs import as_student_output
from m2fp_kd.models.parameters import count_parameters
from m2fp_kd.preflight.options import IMAGENET
from m2fp_kd.runtime.artefact import CARD_NAME, ArtefactError, Card, find_model, load_card
from m2fp_kd.runtime.files import file_sha256, megabytes, model_files, text_sha256
from m2fp_kd.runtime.geometry import CANVAS_MULTIPLE, Geometry
from m2fp_kd.runtime.licence import strictest
from m2fp_kd.runtime.provenance import TeacherCard

Loaded = tuple[nn.Module, int, TeacherCard]
"""A network, the side of its canvas, and its card."""

NO_HUB_NAMES = (".json", ".safetensors", ".pth", *SUFFIXES)


NORMALISATION = f"'teacher.normalisation={IMAGENET}', these or others, in 0..255"
"""Setting that foreign models need."""


def is_hugging_face(checkpoint: str) -> bool:
    """Return whether a checkpoint is a folder of `transformers`, or can only be a name on the Hugging Face hub."""
    path = Path(checkpoint)
    if path.exists():
        return path.is_dir() and (path / "config.json").is_file()
    return path.suffix not in NO_HUB_NAMES and HUB_NAME.fullmatch(checkpoint) is not None


def load_transformers_model(cfg: DictConfig, labels: LabelSet) -> Loaded:
    """Load a model of `transformers`; ``teacher.classes`` maps its classes to the parts of ``teacher.labels``.

    Raises:
        CheckpointError: it cannot be loaded or run, or its normalisation is not known.
        ValueError: a class is no part of the label set.
    """
    name = cfg.teacher.checkpoint
    found = load_hugging_face(name)
    mean, std = _normalisation(cfg) or found.normalisation or _unknown(name)
    shares = class_shares(found.classes, labels, cfg.teacher.classes)
    parameters = count_parameters(found.module)
    module = _runnable(ForeignNetwork(found.module, torch.from_numpy(shares), mean, std, found.fixed), labels, name)
    return (
        module,
        _side(cfg, found.fixed),
        TeacherCard(
            name=found.name,
            licence=cfg.teacher.licence or found.licence,
            sha256=text_sha256([found.sha256, mean, std, shares.tolist()]),
            parameters=parameters,
            megabytes=4e-6 * parameters,
            parts=labels.parts,
        ),
    )


def load_exported(cfg: DictConfig, labels: LabelSet) -> Loaded:
    """Load an artefact of this project by its card, or another exported model by ``teacher.normalisation``.

    Raises:
        ArtefactError: the card is broken, or there is none and no normalisation either.
        EngineError: no engine runs it.
        CheckpointError: its parts are not those of ``teacher.labels``, or it cannot be run.
    """
    path = _find(cfg.teacher.checkpoint)
    normalisation = _normalisation(cfg)
    if normalisation is None:
        return _artefact(cfg, path, _card(path), labels)
    mean, std = normalisation
    network, fixed = open_foreign_artefact(path)
    shares = torch.eye(labels.num_parts)
    module = _runnable(ForeignNetwork(network, shares, mean, std, fixed), labels, path)
    sha256 = text_sha256([[file_sha256(file) for file in model_files(path)], mean, std])
    card = TeacherCard(path.stem, cfg.teacher.licence, sha256, megabytes=megabytes(path), parts=labels.parts)
    return module, _side(cfg, fixed), card


def _find(checkpoint: str) -> Path:
    try:
        return find_model(checkpoint)
    except ArtefactError as error:
        raise ArtefactError(f"{error}; a model of transformers has a config.json and .safetensors files") from error


def _card(path: Path) -> Card:
    try:
        return load_card(path)
    except ArtefactError as error:
        if path.with_name(CARD_NAME).is_file():
            raise
        raise ArtefactError(
            f"{path} has no {CARD_NAME}, so it is not an artefact of this project ({error}). For another model, give "
            f"teacher.labels=SET, whose parts must be in the order of its outputs, and {NORMALISATION}"
        ) from error


def _artefact(cfg: DictConfig, path: Path, card: Card, labels: LabelSet) -> Loaded:
    require_parts(path, card.labels, labels)
    geometry = Geometry(**card.geometry)
    module = _runnable(open_artefact(path, geometry), labels, path)
    licence = strictest([card.teacher.licence]) or cfg.teacher.licence
    sha256 = text_sha256([file_sha256(file) for file in model_files(path)])
    side = geometry.size if geometry.fixed else input_size(cfg, geometry.size)
    return (
        module,
        side,
        TeacherCard(
            f"{path.parent.name}/{path.name}",
            licence,
            sha256,
            card.data,
            card.parameters,
            megabytes(path),
            parts=labels.parts,
        ),
    )


def input_size(cfg: DictConfig, trained: int | None = None) -> int:
    """Return ``teacher.size``; if it is null, the size that the network was trained at, else ``data.size``."""
    return int(cfg.teacher.size or trained or cfg.data.size)


def require_parts(path: str | Path, found: LabelSet, wanted: LabelSet) -> None:
    """Check that a file has the parts of ``teacher.labels``.

    Raises:
        CheckpointError: it has others.
    """
    if found.parts != wanted.parts:
        name, file = (found.name, "") if found.name in LABEL_SETS else ("FILE", ", FILE being a YAML file of its parts")
        raise CheckpointError(
            f"{path} has the {found.num_parts} parts of '{found.name}', not the "
            f"{wanted.num_parts} of '{wanted.name}'; set teacher.labels={name} (in an ensemble "
            f"{{checkpoint: {path}, labels: {name}}}{file}), so that its "
            "students learn through a bridge between the label sets, or use a teacher of the data's label set"
        )


def _normalisation(cfg: DictConfig) -> tuple[Sequence[float], Sequence[float]] | None:
    """Return ``teacher.normalisation`` as mean and standard deviation."""
    given = cfg.teacher.normalisation
    return None if given is None else (list(given.mean), list(given.std))


def _unknown(name: str) -> tuple[Sequence[float], Sequence[float]]:
    raise CheckpointError(
        f"the mean and standard deviation of the images of {name} are not known, since it has no "
        f"preprocessor_config.json with them; give {NORMALISATION}"
    )


def _side(cfg: DictConfig, fixed: tuple[int, int] | None) -> int:
    """Return the side of the canvas: that of a network of fixed size, rounded up, else `input_size`."""
    return input_size(cfg) if fixed is None else -(-max(fixed) // CANVAS_MULTIPLE) * CANVAS_MULTIPLE


def _runnable(module: nn.Module, labels: LabelSet, name: str | Path) -> nn.Module:
    """Return a network that gives the parts of a label set for a small black photo.

    Raises:
        CheckpointError: it cannot be run, or gives another number of parts.
    """
    try:
        with torch.no_grad():
            found = as_student_output(module.eval()(torch.zeros(1, 3, 64, 64)), labels.num_parts).part_logits.shape
    except Exception as error:  # any kind, since it is other people's code
        raise CheckpointError(f"{name} cannot be run as a teacher ({error}); take another model") from error
    if found[1] != labels.num_parts:
        raise CheckpointError(
            f"{name} gives {found[1]} parts, not the {labels.num_parts} of '{labels.name}'; set teacher.labels to the "
            "label set that it was trained with"
        )
    return module
