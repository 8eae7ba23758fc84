"""Class names of other people's models, mapped to the parts of a label set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from m2fp_kd.labels.bridge import read_shares
from m2fp_kd.labels.sets import LABEL_SETS, LabelSet


def class_shares(names: Sequence[str], labels: LabelSet, file: str | Path | None = None) -> np.ndarray:
    """Return the share of each class that goes to each part, float32 (number of classes, P); rows sum to 1.

    Without a file, a class goes to the part of the same name; capitals, blanks and underscores make no difference, so
    that ``Face_Neck`` is ``face-neck``.

    Args:
        names: names of the classes in the order of the model's outputs.
        labels: label set that the model was trained with, or another.
        file: YAML table with one line per class, like that of a bridge.

    Raises:
        ValueError: a class is no part of the label set, or is missing from the file.
        FileNotFoundError: `file` does not exist.
    """
    if file is not None:
        try:
            return read_shares(Path(file), names, labels.parts, giver="model", receiver=f"label set '{labels.name}'")
        except ValueError as error:
            raise ValueError(f"teacher.classes={file}: {error}") from error
    wanted = [_plain(name) for name in names]
    if strange := [name for name, part in zip(names, wanted, strict=True) if part not in labels.parts]:
        raise ValueError(
            f"the model's classes {_some(strange)} are no parts of teacher.labels={labels.name}; {_hint(wanted)} write "
            "a YAML file with one line for each of the model's classes, such as 'Trousers: pants' or 'Arms: "
            "{left-arm: 0.5, right-arm: 0.5}', and pass it as teacher.classes=FILE"
        )
    return np.eye(labels.num_parts, dtype=np.float32)[[labels.parts.index(part) for part in wanted]]


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _hint(wanted: Sequence[str]) -> str:
    fitting = [name for name, labels in LABEL_SETS.items() if set(wanted) <= set(labels.parts)]
    return (
        f"they are those of '{fitting[0]}': set teacher.labels={fitting[0]}, or"
        if fitting
        else "choose other labels, or"
    )
