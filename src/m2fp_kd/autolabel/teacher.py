"""Label photos with a teacher: whatever `teacher.checkpoint` of the configuration takes, alone or as an ensemble."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from m2fp_kd.autolabel.answer import Answer
from m2fp_kd.checkpoints.network import load_network
from m2fp_kd.config import register_resolvers
from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.distill.teachers.tta import Tta
from m2fp_kd.distill.teachers.whole_photo import WholePhotoTeacher
from m2fp_kd.labels import LABEL_SETS, LabelSet, load_label_set
from m2fp_kd.models.outputs import M2FPOutput
from m2fp_kd.pipeline.assemble.foreign import is_hugging_face
from m2fp_kd.pipeline.assemble.part_models import NETWORK_FILES, load_part_models
from m2fp_kd.pipeline.assemble.teacher import teacher_card
from m2fp_kd.runtime.artefact import ArtefactError, find_model, load_card
from m2fp_kd.runtime.engines import EngineError
from m2fp_kd.runtime.geometry import place
from m2fp_kd.runtime.persons import Person, find_persons, person_ids
from m2fp_kd.runtime.probabilities import View, most_probable
from m2fp_kd.shipped import conf_folder


class TeacherLabeller:
    """Label photos with a teacher, on an accelerator if there is one.

    Args:
        files: checkpoints as `teacher.checkpoint` takes them; the probabilities of several are averaged.
        labels: label set of the answers, by name or YAML file; None for that of the first file.
        overrides: settings of the configuration, such as ``teacher.size=512``.
        persons: whether to number the persons.
        tta: average the answers to the photo and to its mirror image.

    Raises:
        FileNotFoundError, CheckpointError: a checkpoint is missing or does not fit.
        ValueError: a setting is wrong, the label set is not known, or the teacher does not separate the persons that
            are asked for.
    """

    def __init__(
        self,
        files: Sequence[str],
        labels: str | None = None,
        overrides: Sequence[str] = (),
        persons: bool = False,
        tta: bool = False,
    ) -> None:
        cfg = _configuration(files, labels, [*overrides, *(["teacher.tta.flip=true"] if tta else [])])
        self.labels: LabelSet = load_label_set(cfg.data.labels)
        models = load_part_models(cfg, self.labels)
        self.teacher = WholePhotoTeacher(models, models[0].geometry, Tta(**cfg.teacher.tta))
        self.teacher.to(torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu"))
        self.persons = persons
        if persons and self._queries(np.zeros((64, 64, 3), np.uint8)) is None:
            raise ValueError(f"{', '.join(files)} separates no persons; use one network with queries, or no --persons")
        card = teacher_card(self.teacher)
        self.model: dict[str, Any] = {
            "name": card.name,
            "licence": card.licence,
            "data": card.trained_on.name,
            "sha256": card.sha256,
            "size": self.teacher.geometry.size,
            "tta": card.tta,
            "bridge": card.bridge_sha256,
        }

    def __call__(self, photo: np.ndarray) -> Answer:
        """Label a photo, uint8 (H, W, 3)."""
        log_parts, placement = self.teacher.on_own_grid(photo)
        part_map, confidence = most_probable([View(log_parts, placement)])
        return Answer(part_map, confidence, person_ids(self._found(photo), part_map) if self.persons else None)

    def _found(self, photo: np.ndarray) -> list[Person]:
        model, queries = self.teacher.models[0], self._queries(photo)
        assert queries is not None  # checked when the teacher was loaded
        classes, masks = (one[0].float().cpu().numpy() for one in (queries.class_logits, queries.mask_logits))
        return find_persons(classes, masks, place(photo, model.geometry)[1], model.labels.num_parts)

    @torch.inference_mode()
    def _queries(self, photo: np.ndarray) -> M2FPOutput | None:
        """Return the queries of a single network that separates persons; None for other teachers."""
        model = self.teacher.single
        if model is None or not model.labels.has_human:
            return None
        return _run(model, photo)


def _run(model: PartModel, photo: np.ndarray) -> M2FPOutput | None:
    canvas = torch.from_numpy(place(photo, model.geometry)[0]).to(model.device)
    return model(canvas.permute(2, 0, 1)[None].float()).queries


def _configuration(files: Sequence[str], labels: str | None, overrides: Sequence[str]) -> DictConfig:
    """Compose the configuration of this teacher.

    Raises:
        ValueError: an override is wrong; or `labels` is None, and the first file has no label set or one of its own.
    """
    members = [_member(file, labels, overrides) for file in files]
    if labels is None:
        labels = members[0].get("labels")
        if labels is None:
            raise ValueError(f"{files[0]} does not say which label set it has; add --labels SET")
        if labels not in LABEL_SETS:
            raise ValueError(f"{files[0]} has the label set '{labels}', which is not built in; add --labels FILE.yaml")
    register_resolvers()
    fixed = ["data=own", "data.root=unused", "run_dir=unused", "teacher=live"]
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            cfg = compose("config", overrides=[*fixed, *overrides])
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(f"--set {' '.join(overrides)}: {error}") from error
    cfg.data.labels = labels
    cfg.teacher.checkpoint = members
    return cfg


def _member(file: str, labels: str | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Return a checkpoint with the settings of `teacher` that its file holds and no override sets."""
    known = _known(file)
    if known is None:
        return {"checkpoint": file}
    own, size = known
    same = labels is not None and load_label_set(labels).parts == own.parts
    settings = {"labels": labels if same else own.name, "size": size}
    given = {override.partition("=")[0] for override in overrides}
    return {"checkpoint": file} | {key: value for key, value in settings.items() if f"teacher.{key}" not in given}


def _known(file: str) -> tuple[LabelSet, int] | None:
    """Return the label set and the size of photos of a network file or an artefact; None for other models."""
    if file.endswith(NETWORK_FILES):
        network = load_network(file)
        return network.labels, network.geometry.size
    if is_hugging_face(file) or not Path(file).exists():
        return None
    with suppress(ArtefactError, EngineError):
        card = load_card(find_model(file))
        return card.labels, card.geometry["size"]
    return None
