"""Part sets: for each label of another data set, the parts of the student that a pixel with that label can be."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from m2fp_kd.labels.bridge import changed_by_mirroring
from m2fp_kd.labels.sets import LabelSet
from m2fp_kd.labels.yaml_file import read_yaml

SET_TABLES = Path(__file__).parent / "tables" / "sets"
"""Folder of the built-in tables, `SOURCE-in-STUDENT.yaml`."""


@dataclass(frozen=True, eq=False)
class PartSets:
    """The student's parts that a pixel with a label of the source can be.

    A part can belong to several labels: CIHP's upper-clothes cover the torso and the arms of PASCAL-Person-Part.

    Attributes:
        source: label set of the source.
        student: label set of the student.
        sets: bool (source's L, student's P), whether a pixel with the label can be the part.
        counts_as: uint8 (P,), label that a wrongly predicted part counts as: the table's first that can be it.

    Raises:
        ValueError: the two sets ignore different values, or mirroring a photo would change the table.
    """

    source: LabelSet
    student: LabelSet
    sets: np.ndarray
    counts_as: np.ndarray

    def __post_init__(self) -> None:
        if self.source.ignore_index != self.student.ignore_index:
            raise ValueError(
                f"'{self.source.name}' ignores the value {self.source.ignore_index} and '{self.student.name}' "
                f"{self.student.ignore_index}; give both label sets the same ignore_index"
            )
        if uneven := changed_by_mirroring(self.sets, self.source, self.student):
            raise ValueError(
                f"left and right differ in {', '.join(uneven)}, so a mirrored photo would get other sets; give left "
                "and right labels mirrored parts, and labels without sides both parts of a pair"
            )

    @classmethod
    def same(cls, labels: LabelSet) -> "PartSets":
        """Return the table of a source that has the student's own labels."""
        return cls(labels, labels, np.eye(labels.num_parts, dtype=bool), np.arange(labels.num_parts, dtype=np.uint8))

    @property
    def one_to_one(self) -> bool:
        """Whether the source has the student's own labels."""
        return self.source.parts == self.student.parts

    @cached_property
    def merged(self) -> np.ndarray:
        """Label that each label is scored as, uint8 (256,): the table's first of those with the same parts.

        The student cannot tell such labels apart. Other values, such as the ignored one, stay.
        """
        values = np.arange(256, dtype=np.uint8)
        for number, parts in enumerate(self.sets):
            same = np.flatnonzero((self.sets == parts).all(axis=1))
            counted = same[np.isin(same, self.counts_as)]
            values[number] = counted[0] if len(counted) else same[0]
        return values

    @property
    def scored(self) -> list[int]:
        """Labels that parts count as, and so the labels with an IoU: the others can be missed, but not invented."""
        found: list[int] = np.unique(self.counts_as).tolist()
        return found

    def in_source(self, part_map: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Express a predicted part map in the labels of the source, to score it.

        A part that the pixel's true label can be is right and becomes that label; any other part becomes the label
        that it counts as. Labels are merged. For a source with the student's own labels this changes nothing.

        Args:
            part_map: student's parts, integer (H, W).
            truth: labels of the source or its ignore index, uint8 (H, W).

        Returns:
            The prediction and the truth in labels of the source, each uint8 (H, W).

        Raises:
            ValueError: the two maps differ in size.
        """
        if part_map.shape != truth.shape:
            raise ValueError(f"part map {part_map.shape} and labels {truth.shape} differ in size; restore the part map")
        truth = self.merged[truth]
        labels = np.where(truth == self.source.ignore_index, 0, truth)
        possible = self.sets[labels, part_map]
        return np.where(possible, labels, self.counts_as[part_map]).astype(np.uint8), truth


def find_part_sets(source: LabelSet, student: LabelSet, file: str | Path | None = None) -> PartSets:
    """Return the part sets of a source's labels.

    Args:
        source: label set of the source.
        student: label set of the student.
        file: YAML table; None for the built-in one, or for label sets with the same parts.

    Raises:
        ValueError: there is no such table, or it is invalid.
        FileNotFoundError: `file` does not exist.
    """
    if file is None and source.parts == student.parts:
        return PartSets.same(student)
    path = SET_TABLES / f"{source.name}-in-{student.name}.yaml" if file is None else Path(file)
    if file is None and not path.is_file():
        known = ", ".join(sorted(table.stem.replace("-in-", " in ") for table in SET_TABLES.glob("*.yaml")))
        raise ValueError(
            f"there is no table of the labels of '{source.name}' in the parts of '{student.name}'; built in are "
            f"{known}. Write your own as a YAML file with one line for each label, such as 'head: [face, hair, hat]', "
            "and pass it as the source's table=FILE"
        )
    try:
        return _part_sets(read_yaml(path), source, student)
    except ValueError as error:
        raise ValueError(f"table {path} of '{source.name}' in '{student.name}': {error}") from error


def _part_sets(table: Mapping[str, Any], source: LabelSet, student: LabelSet) -> PartSets:
    """Return a table of names as part sets; raise ValueError if it is invalid."""
    if missing := [label for label in source.parts if label not in table]:
        raise ValueError(f"lacks the labels {', '.join(missing)}; add a line with the parts that each can be")
    if unknown := [str(label) for label in table if label not in source.parts]:
        raise ValueError(f"the source has no labels {', '.join(unknown)}; remove these lines")
    lines = {label: _parts(label, parts, student) for label, parts in table.items()}
    sets = np.zeros((source.num_parts, student.num_parts), bool)
    for label, parts in lines.items():
        sets[source.parts.index(label), [student.parts.index(part) for part in parts]] = True
    if unnamed := [student.parts[column] for column in np.flatnonzero(~sets.any(axis=0))]:
        raise ValueError(f"no label can be {', '.join(unnamed)}; add each part to the labels that its pixels have")
    counts_as = [source.parts.index(_counts_as(part, lines)) for part in student.parts]
    return PartSets(source, student, sets, np.array(counts_as, np.uint8))


def _parts(label: str, parts: Any, student: LabelSet) -> list[str]:
    names = [parts] if isinstance(parts, str) else parts
    if not isinstance(names, list) or not names:
        raise ValueError(f"{label}: must name a part or a list of parts, not {parts}")
    if unknown := [str(name) for name in names if name not in student.parts]:
        raise ValueError(
            f"{label}: the student has no parts {', '.join(unknown)}; its parts are {', '.join(student.parts)}"
        )
    return names


def _counts_as(part: str, lines: Mapping[str, list[str]]) -> str:
    return next(label for label, parts in lines.items() if part in parts)
