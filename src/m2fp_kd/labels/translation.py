"""Translations of an artefact's answers to the parts that another program expects."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from m2fp_kd.labels.bridge import TABLES, find_bridge, shares_of
from m2fp_kd.labels.sets import LABEL_SETS, LabelSet
from m2fp_kd.labels.yaml_file import read_yaml


@dataclass(frozen=True, eq=False)
class Translation:
    """The share of each of an artefact's parts that each part of another label set gets.

    Attributes:
        source: label set of the artefact.
        target: label set of the answers.
        shares: float32 (source's P, target's P), non-negative; rows sum to 1.
    """

    source: LabelSet
    target: LabelSet
    shares: np.ndarray

    @property
    def sha256(self) -> str:
        """SHA-256 of the target and the shares."""
        return hashlib.sha256(json.dumps([self.target.to_dict(), self.shares.tolist()]).encode()).hexdigest()

    @property
    def guesses(self) -> dict[str, str]:
        """Part of the source that several parts of the target share -> the one that gets most, the first of equals."""
        likeliest = self.shares.argmax(axis=1)
        several = np.flatnonzero(np.count_nonzero(self.shares, axis=1) > 1)
        return {self.source.parts[row]: self.target.parts[likeliest[row]] for row in several}


def targets(source: LabelSet) -> list[str]:
    """Return the names of the label sets in which answers can be given: the artefact's own, and those of bridges."""
    bridges = sorted(path.stem.removeprefix(f"{source.name}-to-") for path in TABLES.glob(f"{source.name}-to-*.yaml"))
    builtin = source.name in LABEL_SETS and source.parts == LABEL_SETS[source.name].parts
    return [source.name, *(bridges if builtin else [])]


def find_translation(source: LabelSet, wanted: str) -> Translation | None:
    """Return the translation to a label set; None to the source's own.

    Args:
        source: label set of the artefact.
        wanted: name of one of its `targets`, or path of a YAML file with the fields of `LabelSet`. There, `bridge`, a
            table with a line for each part of the source as in `read_shares`, says which part becomes which; without
            it, parts keep their names.

    Raises:
        ValueError: there is no such translation; the message lists those that there are. Or the file is invalid.
        FileNotFoundError: the file does not exist.
    """
    if Path(wanted).suffix.lower() in (".yaml", ".yml"):
        try:
            return _from_file(source, read_yaml(Path(wanted)))
        except ValueError as error:
            raise ValueError(f"{wanted}: {error}") from error
    if wanted not in targets(source):
        names = ", ".join(targets(source))
        raise ValueError(
            f"answers in '{source.name}' cannot be given in '{wanted}'; choose from {names}, or give a .yaml file with "
            "name, parts and a table `bridge`"
        )
    if wanted == source.name:
        return None
    bridge = find_bridge(source, LABEL_SETS[wanted])
    return None if bridge is None else Translation(source, bridge.student, bridge.shares)


def _from_file(source: LabelSet, values: dict[str, Any]) -> Translation:
    table = values.pop("bridge", None)
    target = LabelSet.from_dict(values)
    if table is None:
        table = {part: part for part in source.parts}
        if missing := [part for part in source.parts if part not in target.parts]:
            raise ValueError(
                f"lacks the artefact's parts {', '.join(missing)}; add a table `bridge` with a line for each of its "
                f"parts, such as '{missing[0]}: {target.parts[-1]}'"
            )
    if not isinstance(table, dict):
        raise ValueError("bridge: must hold a line for each part of the artefact, such as 'hat: head'")
    names = {"giver": "artefact", "receiver": f"label set '{target.name}'"}
    return Translation(source, target, shares_of(table, source.parts, target.parts, **names))
