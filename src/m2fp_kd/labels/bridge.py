"""Bridges, which redistribute the probability of a teacher's parts over a student's other parts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from m2fp_kd.labels.sets import LabelSet
from m2fp_kd.labels.yaml_file import read_yaml

TABLES = Path(__file__).parent / "tables"
"""Folder of the built-in bridges, `TEACHER-to-STUDENT.yaml`."""


def changed_by_mirroring(table: np.ndarray, rows: LabelSet, columns: LabelSet) -> list[str]:
    """Return the parts whose row of a table (rows' P, columns' P) differs once left and right are swapped in both."""
    mirrored = table[list(rows.flip_permutation)][:, list(columns.flip_permutation)]
    return [rows.parts[row] for row in np.flatnonzero((mirrored != table).any(axis=1))]


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
        if uneven := changed_by_mirroring(self.shares, self.teacher, self.student):
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
        return Bridge(teacher, student, read_shares(path, teacher.parts, student.parts))
    except ValueError as error:
        raise ValueError(f"bridge {path} from '{teacher.name}' to '{student.name}': {error}") from error


def read_shares(
    file: Path, givers: Sequence[str], receivers: Sequence[str], *, giver: str = "teacher", receiver: str = "student"
) -> np.ndarray:
    """Read a YAML table of names as a row-stochastic matrix, float32 (number of givers, number of receivers).

    Args:
        file: YAML file with one line per giver: the name of a receiver, or names with shares that sum to 1.
        givers: names of the rows; each needs a line.
        receivers: names of the columns.
        giver: what the rows belong to, for messages.
        receiver: what the columns belong to, for messages.

    Raises:
        ValueError: the table is invalid.
        FileNotFoundError: `file` does not exist.
    """
    return shares_of(read_yaml(file), givers, receivers, giver=giver, receiver=receiver)


def shares_of(
    table: Mapping[str, Any], givers: Sequence[str], receivers: Sequence[str], *, giver: str, receiver: str
) -> np.ndarray:
    """Return what `read_shares` does, for a table that was read already.

    Raises:
        ValueError: the table is invalid.
    """
    if missing := [name for name in givers if name not in table]:
        raise ValueError(f"lacks the {giver}'s parts {', '.join(missing)}; add a line for each")
    if unknown := [str(name) for name in table if name not in givers]:
        raise ValueError(f"the {giver} has no parts {', '.join(unknown)}")
    shares = np.zeros((len(givers), len(receivers)), np.float32)
    for row, name in enumerate(givers):
        given = {table[name]: 1} if isinstance(table[name], str) else table[name]
        if not isinstance(given, Mapping):
            raise ValueError(f"{name}: must name a part, or parts with their shares, not {given}")
        for part, share in given.items():
            if part not in receivers:
                raise ValueError(f"{name}: the {receiver} has no part {part}")
            if not isinstance(share, int | float) or not 0 < share <= 1:
                raise ValueError(f"{name}: the share of {part} must be above 0 and at most 1, not {share}")
            shares[row, receivers.index(part)] = share
        if abs(shares[row].sum() - 1) > 1e-5:
            raise ValueError(f"{name}: shares sum to {shares[row].sum():g} instead of 1")
    return shares
