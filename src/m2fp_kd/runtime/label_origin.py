"""Origin of labels that a model wrote: `m2fp-kd autolabel` leaves the facts about the model beside them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ORIGIN = "autolabel.json"
"""File of the settings and the model, in the folder that holds the labels."""

DEPTH = 2
"""Folders between that folder and a label map, such as ``Training/Category_ids``."""


def label_models(label_maps: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the facts about the models that wrote label maps, each once; none for labels of people.

    Args:
        label_maps: files of the label maps.

    Returns:
        For each model its ``name``, ``licence`` and ``sha256``, each None where it is not known.

    Raises:
        ValueError: a file of such facts is broken.
    """
    folders = dict.fromkeys(path.parents[DEPTH] for path in label_maps if len(path.parents) > DEPTH)
    models = [_model(folder / ORIGIN) for folder in folders if (folder / ORIGIN).is_file()]
    return list({str(model): model for model in models}.values())


def _model(path: Path) -> dict[str, Any]:
    try:
        model = json.loads(path.read_text(encoding="utf-8"))["settings"]["model"]
        return {name: model.get(name) for name in ("name", "licence", "sha256")}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: not valid ({type(error).__name__}: {error}); it names the model that wrote the labels and its "
            "licence: restore it, or remove it if people have made all labels"
        ) from error
