"""Bridges, which redistribute the probability of a teacher's parts over a student's other parts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from m2fp_kd.labels.sets import LabelSet
from m2fp_kd.labels.yaml_file import read_yaml

TABLES = Path(__file__).parent / "tables"
"""Folder of the built-in bridges, `TEACHER-to-STUDENT.yaml`."""


@dataclass(frozen=True, eq=False)
class Bridge:
    """A row-stochastic matrix from one label set to another, equal for all pixels.

    Attributes:
        teacher: label set of the teacher.
        student: label set of the student.
        shares: float32 (teacher's P, student's P), share of each teacher's part that goes to each student's part.

    Raises:
        ValueError: mirroring a photo would change the shares.
    """

    teacher: LabelSet
    student: LabelSet
    shares: np.ndarray

    def __post_init__(self) -> None:
        here, there = list(self.teacher.flip_permutation), list(self.student.flip_permutation)
        mirrored = self.shares[here][:, there]
        if uneven := [self.teacher.parts[row] for row in np.flatnonzero((mirrored != self.shares).any(axis=1))]:
            raise ValueError(
                f"left and right differ in {', '.join(uneven)}, so a mirrored photo would get other targets. Give left "
                "and right parts mirrored shares, and give parts without sides equal shares of left and right"
            )

    @property
    def name(self) -> str:
        """Name for cards and messages."""
        return f"{self.teacher.name} -> {self.student.name}"

    @property
    def sha256(self) -> str:
        """SHA-256 of the shares."""
        return hashlib.sha256(self.shares.tobytes()).hexdigest()

    @property
    def divided(self) -> list[str]:
        """Teacher's parts that go to several student's parts, so that their most probable part is a guess."""
        several = np.count_nonzero(self.shares, axis=1) > 1
        return [part for part, divided in zip(self.teacher.parts, several, strict=True) if divided]


def find_bridge(teacher: LabelSet, student: LabelSet, file: str | Path | None = None) -> Bridge | None:
    """Return the bridge from a teacher's label set to a student's; None if both have the same parts.

    Args:
        teacher: label set of the teacher.
        student: label set of the student.
        file: YAML table of the bridge; None for the built-in one.

    Raises:
        ValueError: there is no such bridge, or the table is invalid.
        FileNotFoundError: `file` does not exist.
    """
    if file is None and teacher.parts == student.parts:
        return None
    path = TABLES / f"{teacher.name}-to-{student.name}.yaml" if file is None else Path(file)
    if file is None and not path.is_file():
        known = ", ".join(sorted(table.stem.replace("-to-", " -> ") for table in TABLES.glob("*.yaml")))
        raise ValueError(
            f"there is no bridge from the teacher's '{teacher.name}' to the student's '{student.name}'; built in are "
            f"{known}. Write your own as a YAML file with one line for each of the teacher's parts, such as 'hat: head'"
            " or 'left-arm: {lower-arm: 0.6, upper-arm: 0.4}', and pass it as teacher.bridge=FILE"
        )
    try:
        return Bridge(teacher, student, _shares(read_yaml(path), teacher, student))
    except ValueError as error:
        raise ValueError(f"bridge {path} from '{teacher.name}' to '{student.name}': {error}") from error


def _shares(table: Mapping[str, Any], teacher: LabelSet, student: LabelSet) -> np.ndarray:
    """Return a table of names as a matrix; raise ValueError if it is invalid."""
    if missing := [part for part in teacher.parts if part not in table]:
        raise ValueError(f"lacks the teacher's parts {', '.join(missing)}")
    if unknown := [str(part) for part in table if part not in teacher.parts]:
        raise ValueError(f"the teacher has no parts {', '.join(unknown)}")
    shares = np.zeros((teacher.num_parts, student.num_parts), np.float32)
    for row, part in enumerate(teacher.parts):
        receivers = {table[part]: 1} if isinstance(table[part], str) else table[part]
        if not isinstance(receivers, Mapping):
            raise ValueError(f"{part}: must name a part, or parts with their shares, not {receivers}")
        for receiver, share in receivers.items():
            if receiver not in student.parts:
                raise ValueError(f"{part}: the student has no part {receiver}")
            if not isinstance(share, int | float) or not 0 < share <= 1:
                raise ValueError(f"{part}: the share of {receiver} must be above 0 and at most 1, not {share}")
            shares[row, student.parts.index(receiver)] = share
        if abs(shares[row].sum() - 1) > 1e-5:
            raise ValueError(f"{part}: shares sum to {shares[row].sum():g} instead of 1")
    return shares
