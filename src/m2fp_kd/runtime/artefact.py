"""An artefact's card: what the exported file is, how to feed it, where it comes from and how well it was checked.

The card lies beside the model as `card.json`, with the SHA-256 of the model's files, and is embedded in ONNX files too.
A folder holds one model, since it holds one card.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.engines import EngineError, read_metadata
from m2fp_kd.runtime.files import atomic_path, file_sha256, model_files
from m2fp_kd.runtime.geometry import Geometry

CARD_KEY = "m2fp_kd.card"
"""Where ONNX metadata hold the card."""

CARD_NAME = "card.json"

MODEL_SUFFIXES = (".onnx", ".xml", ".pt2", ".pt")
"""Endings of model files; in a folder that holds several kinds the first is taken."""

CHOICES = {"precision": ("fp32", "int8"), "head": ("fpn", "m2fp"), "people": ("none", "persons")}


class ArtefactError(ValueError):
    """An artefact that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Card:
    """What an artefact says about itself; plain values throughout.

    Attributes:
        label_set: `LabelSet.to_dict()`.
        geometry: the fields of `Geometry`.
        precision: "fp32" or "int8".
        head: "fpn" (per pixel) or "m2fp" (mask classification).
        outputs: names of what the model gives: "part_map" uint8 (N, H, W), "part_logits" (N, P, H/4, W/4),
            "class_logits" (N, Q, C + 1), "mask_logits" (N, Q, H/4, W/4).
        backbone: its name, as `backbone=` takes it; None where it is not known.
        people: "persons" where the head was trained on persons, else "none".
        engine: engine that the figures were taken with.
        arithmetic: arithmetic that they were taken in.
        teacher: name, licence and whatever else is known of the teacher.
        data: what it was trained on.
        sizes: bytes, parameters and the like.
        parity: agreement with the models before it, by hop.
        latency: by engine that runs the file, what a photo took on the machine that made it: `p50_ms`, `p95_ms`,
            `threads`, `arithmetic`, `cpu`, and for INT8 `fp32_p50_ms`, of the fp32 export that it was made from.
        git_commit: of the code that exported it.
        versions: of the libraries that made it.
        parents: name -> SHA-256 of the files it was made from.
        float_layers: layers of an INT8 artefact that were left in fp32 because INT8 hurt there -> points of IoU that it
            cost.
    """

    label_set: dict[str, Any]
    geometry: dict[str, Any]
    precision: str
    head: str
    outputs: list[str] = field(default_factory=lambda: ["part_map"])
    backbone: str | None = None
    people: str = "none"
    engine: str = ""
    arithmetic: str = ""
    teacher: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, Any] = field(default_factory=dict)
    parity: dict[str, Any] = field(default_factory=dict)
    latency: dict[str, Any] = field(default_factory=dict)
    git_commit: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    float_layers: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is '{getattr(self, name)}', not one of {', '.join(allowed)}")
        Geometry(**self.geometry)
        if self.people == "persons" and not (self.head == "m2fp" and self.labels.has_human):
            raise ValueError("people 'persons' needs an m2fp head and a label set with Human")

    @cached_property
    def labels(self) -> LabelSet:
        """The label set."""
        return LabelSet.from_dict(self.label_set)

    def slower_int8(self, engine: str) -> str | None:
        """Where an engine was measured to run this INT8 artefact slower than the fp32 one, a phrase that says so."""
        facts = self.latency.get(engine, {})
        if "fp32_p50_ms" not in facts or facts["p50_ms"] <= facts["fp32_p50_ms"]:
            return None
        times = f"{facts['p50_ms']:.1f} and {facts['fp32_p50_ms']:.1f} ms a photo"
        return f"{engine} ran INT8 slower than fp32: {times} ({facts['cpu']}, threads: {facts['threads']})"

    def to_dict(self) -> dict[str, Any]:
        """The fields, as JSON writes them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Card":
        """Inverse of `to_dict`.

        Raises:
            ValueError: a field is missing, unknown or invalid.
        """
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown fields {unknown}; was it written by a newer m2fp-kd?")
        if missing := sorted({"label_set", "geometry", "precision", "head"} - set(values)):
            raise ValueError(f"fields {missing} are missing")
        return cls(**values)


def find_model(path: str | Path) -> Path:
    """The model file of an artefact, given as that file or as the folder that holds it.

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
    """Embed the card in an ONNX model (which needs the onnx package), then write `card.json` beside the model."""
    model = Path(model)
    if model.suffix == ".onnx":
        _embed(model, json.dumps(card.to_dict()))
    hashes = {file.name: file_sha256(file) for file in model_files(model)}
    with atomic_path(model.with_name(CARD_NAME)) as temporary:
        temporary.write_text(json.dumps({"sha256": hashes} | card.to_dict(), indent=1), encoding="utf-8")


def load_card(model: str | Path) -> Card:
    """Read the card beside a model and check that it is this model's; without one, read the embedded card.

    Raises:
        ArtefactError: there is no card, it is broken, or it describes another file.
        EngineError: the model whose embedded card is asked for cannot be read.
    """
    model = Path(model)
    beside = model.with_name(CARD_NAME)
    where = str(beside)
    try:
        if beside.is_file():
            values = json.loads(beside.read_text(encoding="utf-8"))
            _check_hashes(model, values.pop("sha256", {}))
        else:
            where = f"{model}, embedded card"
            values = json.loads(_embedded(model))
        return Card.from_dict(values)
    except (ArtefactError, EngineError):
        raise
    except (TypeError, AttributeError, ValueError) as error:
        raise ArtefactError(f"{where}: not a valid card: {error}") from error


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


def _check_hashes(model: Path, hashes: Mapping[str, str]) -> None:
    for file in model_files(model):
        if not file.is_file():
            raise ArtefactError(f"{file}: missing; an OpenVINO model needs both its .xml and its .bin")
        if hashes.get(file.name) != file_sha256(file):
            raise ArtefactError(
                f"{file}: is not the file that {CARD_NAME} beside it describes (SHA-256 differs); copy both again"
            )
