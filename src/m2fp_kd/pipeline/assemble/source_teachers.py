"""Load the teachers that the sources of a mix have for themselves."""

from dataclasses import replace
from typing import Any

from omegaconf import DictConfig

from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.distill.teachers.source_teachers import SourceTeachers
from m2fp_kd.pipeline.assemble.part_models import load_part_model, member_settings
from m2fp_kd.runtime.provenance import TeacherCard


def load_source_teachers(cfg: DictConfig, datamodule: ParsingDataModule) -> SourceTeachers | None:
    """Load the teachers that ``cfg.data.sources.NAME.teacher`` name; None if there are none.

    An entry is a checkpoint whose label set is the source's, or a mapping of a checkpoint and other settings of
    ``teacher``, such as its ``labels`` and ``bridge``.

    Raises:
        ValueError: no bridge leads from a teacher's labels to its source's; like the other errors of
            `load_part_model`, it names the source.
    """
    entries = {name: source.teacher for name, source in cfg.data.get("sources", {}).items()}
    models = {name: _load(cfg, name, entry, datamodule) for name, entry in entries.items() if entry is not None}
    return SourceTeachers(models) if models else None


def _load(cfg: DictConfig, name: str, entry: Any, datamodule: ParsingDataModule) -> PartModel:
    setting, labels = f"data.sources.{name}.teacher", cfg.data.sources[name].labels
    try:
        member = member_settings(cfg, entry, {"labels": labels})
        return load_part_model(member, datamodule.part_sets[name].source)
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(
            f"{setting}: {error}. Write {setting}={{checkpoint: FILE, labels: SET, bridge: FILE}} for a teacher of "
            "other labels than the source's"
        ) from error


def with_source_teachers(card: TeacherCard, teachers: SourceTeachers) -> TeacherCard:
    """Return the card of a run's teachers: the common one, if there is one, and the sources' own."""
    own = [replace(model.card, name=f"{model.card.name} ({name})") for name, model in teachers.models.items()]
    return TeacherCard.of_ensemble([card, *own] if card.name else own, card.parts)
