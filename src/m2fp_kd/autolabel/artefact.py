"""Label photos with an artefact, without PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np

from m2fp_kd.autolabel.answer import Answer
from m2fp_kd.runtime.artefact import ArtefactError, find_model
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.persons import person_ids
from m2fp_kd.runtime.probabilities import View, most_probable


class ArtefactLabeller:
    """Label photos with an artefact.

    Args:
        path: model file or its folder.
        persons: whether to number the persons.
        tta: average the answers to the photo and to its mirror image.

    Raises:
        FileNotFoundError, ArtefactError, EngineError: as in `Parser.load`; also if the artefact gives no probabilities,
            or does not separate the persons that are asked for.
    """

    def __init__(self, path: Path, persons: bool = False, tta: bool = False) -> None:
        self.parser = Parser.load(path)
        self.persons = persons
        self.tta = tta
        card = self.parser.card
        if "part_logits" not in card.outputs:
            raise ArtefactError(f"{path} gives no probabilities (part_logits); export it with this version")
        if persons and card.people != "persons":
            raise ArtefactError(f"{path} does not separate persons; use an m2fp head trained on persons, not --persons")
        self.labels = self.parser.labels
        self.model: dict[str, Any] = {
            "name": "-".join(filter(None, [card.head, card.backbone, card.precision])),
            "licence": card.teacher.licence,
            "data": card.data.name,
            "sha256": file_sha256(find_model(path)),
            "size": self.parser.geometry.size,
            "flip": tta,
        }

    def __call__(self, photo: np.ndarray) -> Answer:
        """Label a photo, uint8 (H, W, 3)."""
        parsing = self.parser(photo)
        views = [_view(parsing)]
        if self.tta:
            mirrored = self.parser(np.ascontiguousarray(photo[:, ::-1]))
            views.append(_view(mirrored, self.labels.flip_permutation))
        part_map, confidence = most_probable(views)
        return Answer(part_map, confidence, person_ids(parsing.persons, part_map) if self.persons else None)


def _view(parsing: Parsing, flip: tuple[int, ...] | None = None) -> View:
    return View(parsing.outputs["part_logits"], parsing.placement, flip)
