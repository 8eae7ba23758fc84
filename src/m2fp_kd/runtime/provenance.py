"""Where a network comes from: its teacher, licences, data, objective and parent, as files and reports record it.

`to_dict` leaves out what is unknown; `from_dict` also reads the key names of earlier versions. Files are recorded by
name and hash: the folders of the machine that trained a network are no business of the people who get it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Self

from m2fp_kd.runtime.files import text_sha256
from m2fp_kd.runtime.licence import strictest


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values with some keys replaced; ``names`` maps old keys to new ones."""
    return {names.get(key, key): value for key, value in values.items()}


def file_name(path: str) -> str:
    """Return the last component of a path of any system; a text that is no path stays as it is."""
    return PureWindowsPath(path).name or path


def without_folders(value: Any) -> Any:
    """Replace each absolute path in plain values by its last component; relative paths and other texts stay."""
    if isinstance(value, Mapping):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    if isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()):
        return file_name(value)
    return value


class Record:
    """Conversion of a frozen dataclass to and from JSON's types."""

    def to_dict(self) -> dict[str, Any]:
        """Return the known fields as JSON writes them."""
        return _known(asdict(self))  # type: ignore[call-overload]  # every subclass is a dataclass

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            ValueError: a key is unknown or missing, or the values are no mapping.
        """
        return cls(**cls._checked(values))

    @classmethod
    def _checked(cls, values: Mapping[str, Any], old_names: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the values under their present names; errors as in `from_dict`."""
        if not isinstance(values, Mapping):
            raise ValueError(f"a {cls.__name__} holds names and values, not {values}")
        found = renamed(values, old_names or {})
        known: tuple[Field[Any], ...] = fields(cls)  # type: ignore[arg-type]
        if unknown := sorted(set(found) - {item.name for item in known}):
            raise ValueError(f"unknown fields {unknown} of a {cls.__name__}; was it written by a newer m2fp-kd?")
        needed = {item.name for item in known if item.default is MISSING and item.default_factory is MISSING}
        if missing := sorted(needed - set(found)):
            raise ValueError(f"fields {missing} of a {cls.__name__} are missing; restore the file")
        return found


@dataclass(frozen=True)
class DataSource(Record):
    """Photos that a network was trained on.

    Attributes:
        name: name of the data set, or a description.
        sha256: hash of its photos and labels.
        labelled_by: names of the models that wrote its labels; None for labels of people.
    """

    name: str | None = None
    sha256: str | None = None
    labelled_by: str | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | str | None) -> Self:
        """Inverse of `to_dict`; a string is a name."""
        return cls(name=values) if isinstance(values, str) else cls(**cls._checked(values or {}))


@dataclass(frozen=True)
class TeacherCard(Record):
    """Known facts about a teacher; a field is None where it is unknown, and all are None without a teacher.

    Attributes:
        name: name of the teacher.
        licence: licence of its weights.
        sha256: hash of its weight file; of an ensemble, of its members' hashes, sizes and bridges.
        trained_on: data that it was trained on.
        parameters: number of weights.
        megabytes: size of the weights in fp32, 10^6 bytes.
        size: side of its input in pixels.
        parts: part names of its label set.
        tta: fields of `distill.teachers.tta.Tta`, where several views of a photo are averaged.
        bridge: name of the bridge from its label set to the student's.
        bridge_sha256: hash of that bridge.
        members: cards of the members of an ensemble.
    """

    name: str | None = None
    licence: str | None = None
    sha256: str | None = None
    trained_on: DataSource = DataSource()
    parameters: int | None = None
    megabytes: float | None = None
    size: int | None = None
    parts: tuple[str, ...] = ()
    tta: dict[str, Any] | None = None
    bridge: str | None = None
    bridge_sha256: str | None = None
    members: tuple["TeacherCard", ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Self:
        found = cls._checked(values or {}, {"ensemble": "tta"})
        found["members"] = tuple(map(cls.from_dict, found.get("members") or ()))
        found["trained_on"] = DataSource.from_dict(found.get("trained_on"))
        found["parts"] = tuple(found.get("parts") or ())
        return cls(**found)

    @classmethod
    def of_ensemble(cls, members: Sequence["TeacherCard"], parts: tuple[str, ...]) -> Self:
        """Return the card of an ensemble, under the strictest licence of its members.

        Args:
            members: cards of the members, each with its bridge.
            parts: part names of the student's label set.
        """
        known = sorted([card.sha256, card.size, card.bridge_sha256 or ""] for card in members)
        return cls(
            name=" + ".join(str(card.name) for card in members),
            licence=strictest([card.licence for card in members]),
            sha256=text_sha256(known),
            parameters=sum(card.parameters or 0 for card in members) or None,
            megabytes=sum(card.megabytes or 0 for card in members) or None,
            size=max(card.size or 0 for card in members) or None,
            parts=parts,
            members=tuple(members),
        )


@dataclass(frozen=True)
class ObjectiveSummary(Record):
    """The loss that a network was trained with.

    Attributes:
        terms: weight of each active term.
        teacher_terms: names of the terms that read the teacher.
        alpha: weight of the teacher against the labels.
        temperature: temperature of the teacher's terms.
        anneal: share of the training by which the teacher's terms have ended; None where they last.
    """

    terms: dict[str, float] = field(default_factory=dict)
    teacher_terms: tuple[str, ...] = ()
    alpha: float | None = None
    temperature: float | None = None
    anneal: float | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        found = cls._checked(values, {"fade": "anneal"})
        found["teacher_terms"] = tuple(found.get("teacher_terms", ()))
        return cls(**found)


@dataclass(frozen=True)
class Parent(Record):
    """The network whose weights a training started from.

    Attributes:
        sha256: hash of its weight file.
        file: name of the file that it was loaded from; a path is shortened to it.
        lineage: where it came from in turn.
    """

    sha256: str
    file: str | None = None
    lineage: "Lineage" = field(default_factory=lambda: Lineage())

    def __post_init__(self) -> None:
        if self.file is not None:
            object.__setattr__(self, "file", file_name(self.file))

    @classmethod
    def of_teacher(cls, card: TeacherCard, file: str | None = None) -> Self:
        """Return a teacher as the parent of another."""
        known = Lineage(name=card.name, licence=card.licence, data=card.trained_on, parameters=card.parameters)
        return cls(str(card.sha256), file, known)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`; also reads a teacher's card, which teachers had as their parent."""
        if isinstance(values, Mapping) and set(values) - {item.name for item in fields(cls)}:
            return cls.of_teacher(TeacherCard.from_dict(values))
        found = cls._checked(values)
        return cls(**found | {"lineage": Lineage.from_dict(found.get("lineage", {}))})


@dataclass(frozen=True)
class Lineage(Record):
    """Where a network comes from; a field is None or empty where it is not known.

    Attributes:
        name: name of a network that serves as a teacher.
        licence: licence of such a network.
        teacher: teacher that it learnt from; an M2FP that is compressed is its own.
        licences: licences of that teacher, of its parent and of the photos.
        parent: network that training started from.
        data: data that it was trained on.
        objective: loss that it was trained with.
        student: name of the kind of student, or "M2FP".
        backbone: name of its backbone.
        backbone_weights: weights that the backbone started from; a path is shortened to the file's name.
        backbone_weights_sha256: hash of that file.
        parameters: number of weights.
        seed: seed of its training.
        git_commit: commit of the code that trained it.
        training_steps: training steps of compression that it went through, in order.
        val_miou: validation mIoU of its best epoch, 0..1.
    """

    name: str | None = None
    licence: str | None = None
    teacher: TeacherCard = TeacherCard()
    licences: tuple[str, ...] = ()
    parent: Parent | None = None
    data: DataSource = DataSource()
    objective: ObjectiveSummary | None = None
    student: str | None = None
    backbone: str | None = None
    backbone_weights: str | None = None
    backbone_weights_sha256: str | None = None
    parameters: int | None = None
    seed: int | None = None
    git_commit: str | None = None
    training_steps: tuple[str, ...] = ()
    val_miou: float | None = None

    def __post_init__(self) -> None:
        if self.backbone_weights is not None:
            object.__setattr__(self, "backbone_weights", file_name(self.backbone_weights))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        found = cls._checked(values, {"recipe": "objective", "val/mIoU": "val_miou"})
        found["teacher"] = TeacherCard.from_dict(found.get("teacher"))
        found["data"] = DataSource.from_dict(found.get("data"))
        if parent := found.get("parent"):
            found["parent"] = Parent.from_dict(parent)
        if objective := found.get("objective"):
            found["objective"] = ObjectiveSummary.from_dict(objective)
        for name in ("licences", "training_steps"):
            found[name] = tuple(found.get(name) or ())
        return cls(**found)


def _known(value: Any) -> Any:
    """Plain values without None and without empty containers, tuples as lists."""
    if isinstance(value, dict):
        plain = {key: _known(item) for key, item in value.items()}
        return {key: item for key, item in plain.items() if item not in (None, {}, [])}
    return [_known(item) for item in value] if isinstance(value, list | tuple) else value
