"""The two files beside an exported model: `card.json` describes it, `checks.json` holds measurements of it.

Both hold the SHA-256 of the model's files. The card is embedded in ONNX files too. A folder holds one model, because it
holds one card.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.checks import CheckResults
from m2fp_kd.runtime.engines import read_metadata
from m2fp_kd.runtime.files import atomic_path, file_sha256, model_files
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import DataSource, TeacherCard

T = TypeVar("T")

CARD_KEY = "m2fp_kd.card"
"""Key of the card in ONNX metadata."""

CARD_NAME = "card.json"
CHECKS_NAME = "checks.json"

FORMAT = 2
"""Number of the card's layout; the first layout had no number and one file for both."""

OLD_FIELDS = ("engine", "arithmetic", "parity", "latency", "sizes")
"""Fields of the first layout that later cards no longer have."""

MODEL_SUFFIXES = (".onnx", ".xml", ".pt2", ".pt", ".pte", ".tflite", ".param")
"""Endings of model files, in order of preference for a folder that holds several kinds."""

CHOICES = {"precision": ("fp32", "int8"), "head": ("fpn", "m2fp"), "people": ("none", "persons")}


class ArtefactError(ValueError):
    """Raised for an artefact that cannot be used; the message names the cause and the fix."""


@dataclass(frozen=True)
class Card:
    """Description of an artefact; written once, at export.

    Attributes:
        label_set: `LabelSet.to_dict()`.
        geometry: the fields of `Geometry`.
        precision: "fp32" or "int8", precision of the weights.
        head: "fpn" (per pixel) or "m2fp" (mask classification).
        outputs: names of the model's outputs: "part_map" uint8 (N, H, W), "part_logits" (N, P, H/4, W/4),
            "class_logits" (N, Q, C + 1), "mask_logits" (N, Q, H/4, W/4).
        backbone: name of the backbone, as `backbone=` takes it; None where it is unknown.
        people: "persons" if the head was trained on persons, else "none".
        parameters: number of weights; None where it is unknown.
        teacher: teacher that the network learnt from.
        data: data that it was trained on.
        git_commit: commit of the code that exported it.
        versions: library -> version, of those that made it.
        parents: name -> SHA-256 of the files it was made from.
        float_layers: layers of an INT8 artefact that were left in fp32 because INT8 hurt there -> points of IoU that
            INT8 cost.
    """

    label_set: dict[str, Any]
    geometry: dict[str, Any]
    precision: str
    head: str
    outputs: list[str] = field(default_factory=lambda: ["part_map"])
    backbone: str | None = None
    people: str = "none"
    parameters: int | None = None
    teacher: TeacherCard = field(default_factory=TeacherCard)
    data: DataSource = field(default_factory=DataSource)
    git_commit: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    float_layers: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is '{getattr(self, name)}', not one of {', '.join(allowed)}")
        Geometry(**self.geometry)
        has_human = self.labels.has_human  # read in any case, because a broken label set raises here
        if self.people == "persons" and not (self.head == "m2fp" and has_human):
            raise ValueError("people 'persons' needs an m2fp head and a label set with Human")

    @cached_property
    def labels(self) -> LabelSet:
        """The label set."""
        return LabelSet.from_dict(self.label_set)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON writes them, with the number of their layout."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        return {"format": FORMAT} | plain | {"teacher": self.teacher.to_dict(), "data": self.data.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Card":
        """Inverse of `to_dict`; also reads cards of the first layout, which held the check results too.

        Raises:
            ValueError: a field is missing, unknown or invalid.
        """
        found = _without_checks(values) if "format" not in values else dict(values)
        if (layout := found.pop("format")) != FORMAT:
            raise ValueError(f"is of format {layout}, but this version reads format {FORMAT}")
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(found) - known):
            raise ValueError(f"unknown fields {unknown}; was it written by a newer m2fp-kd?")
        if missing := sorted({"label_set", "geometry", "precision", "head"} - set(found)):
            raise ValueError(f"fields {missing} are missing")
        found["teacher"] = TeacherCard.from_dict(found.get("teacher"))
        found["data"] = DataSource.from_dict(found.get("data"))
        return cls(**found)


def _without_checks(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card of the first layout in today's."""
    kept = {name: value for name, value in values.items() if name not in OLD_FIELDS}
    return kept | {"format": FORMAT, "parameters": values.get("sizes", {}).get("parameters")}


def find_model(path: str | Path) -> Path:
    """Return the model file of an artefact, which is given as that file or as the folder that holds it.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ArtefactError: the folder holds no model or several.
    """
    path = Path(path)
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such artefact")
        return path
    kinds = [sorted(path.glob(f"*{suffix}")) for suffix in MODEL_SUFFIXES]
    models = next((files for files in kinds if files), [])
    if len(models) != 1:
        found = ", ".join(model.name for model in models) or "none"
        raise ArtefactError(
            f"{path}: should hold one {', '.join(MODEL_SUFFIXES)} model, found {found}; name the file itself"
        )
    return models[0]


def save_card(model: str | Path, card: Card) -> None:
    """Embed the card in an ONNX model (which needs the onnx package), then write `card.json` beside the model.

    An existing `checks.json` is removed, because it describes an earlier file.
    """
    model = Path(model)
    if model.suffix == ".onnx":
        _embed(model, json.dumps(card.to_dict()))
    model.with_name(CHECKS_NAME).unlink(missing_ok=True)
    _write(model, CARD_NAME, card.to_dict())


def load_card(model: str | Path) -> Card:
    """Read the card beside a model and check that it is this model's; without one, read the embedded card.

    Raises:
        ArtefactError: the card is missing, is broken, or describes another file.
        EngineError: the model cannot be read for its embedded card.
    """
    values, where = _card_values(Path(model))
    return _parsed(Card.from_dict, values, where)


def save_checks(model: str | Path, checks: CheckResults) -> None:
    """Write `checks.json` beside a model."""
    _write(Path(model), CHECKS_NAME, checks.to_dict())


def load_checks(model: str | Path) -> CheckResults:
    """Read the check results beside a model; without a file, those that a card of the first layout holds, or none.

    Raises:
        ArtefactError: the results are broken or describe another file, or the model has no card either.
        EngineError: the model cannot be read for its embedded card.
    """
    model = Path(model)
    if not model.with_name(CHECKS_NAME).is_file():
        values, where = _card_values(model)
        return _parsed(CheckResults.from_card, values, where)
    return _parsed(CheckResults.from_dict, _read(model, CHECKS_NAME), str(model.with_name(CHECKS_NAME)))


def _card_values(model: Path) -> tuple[dict[str, Any], str]:
    """Return the content of a model's card and the place where it was found."""
    beside = model.with_name(CARD_NAME)
    if beside.is_file():
        return _read(model, CARD_NAME), str(beside)
    return _parsed(json.loads, _embedded(model), where := f"{model}, embedded card"), where


def _parsed(parse: Callable[[Any], T], content: Any, where: str) -> T:
    try:
        return parse(content)
    except (TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ArtefactError(f"{where}: not valid: {error}") from error


def _write(model: Path, name: str, values: dict[str, Any]) -> None:
    """Write a JSON file beside a model, with the hashes of the model's files."""
    hashes = {file.name: file_sha256(file) for file in model_files(model)}
    with atomic_path(model.with_name(name)) as temporary:
        temporary.write_text(json.dumps({"sha256": hashes} | values, indent=1), encoding="utf-8")


def _read(model: Path, name: str) -> dict[str, Any]:
    """Read what `_write` wrote.

    Raises:
        ArtefactError: the file is not a JSON object, or describes other files.
    """
    path = model.with_name(name)
    values = _parsed(json.loads, path.read_bytes(), str(path))
    hashes = values.pop("sha256", {}) if isinstance(values, dict) else None
    if not isinstance(hashes, dict):
        raise ArtefactError(f"{path}: not valid: it is not a JSON object, or its sha256 is not one")
    _check_hashes(model, hashes, name)
    return values


def _embed(model: Path, text: str) -> None:
    import onnx

    graph = onnx.load(model)
    kept = [(entry.key, entry.value) for entry in graph.metadata_props if entry.key != CARD_KEY]
    onnx.helper.set_model_props(graph, dict([*kept, (CARD_KEY, text)]))
    with atomic_path(model) as temporary:
        onnx.save(graph, temporary)


def _embedded(model: Path) -> str:
    text = read_metadata(model, CARD_KEY) if model.suffix == ".onnx" else None
    if text is None:
        raise ArtefactError(f"{model}: has no {CARD_NAME} beside it and none embedded; was it exported by m2fp-kd?")
    return text


def _check_hashes(model: Path, hashes: Mapping[str, str], name: str) -> None:
    for file in model_files(model):
        if not file.is_file():
            raise ArtefactError(f"{file}: missing; an OpenVINO model needs both its .xml and its .bin")
        if hashes.get(file.name) != file_sha256(file):
            raise ArtefactError(
                f"{file}: is not the file that {name} beside it describes (SHA-256 differs); copy both again"
            )
