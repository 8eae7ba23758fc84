"""Load the teacher: a live network, its cached targets, or a class of the user's own."""

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from m2fp_kd.data.datamodule import ParsingDataModule, refuse_divided
from m2fp_kd.data.teacher_cache import TeacherCache, cache_key, stored_key
from m2fp_kd.distill.teachers.filling import fill_cache
from m2fp_kd.distill.teachers.source_teachers import SourceTeachers
from m2fp_kd.distill.teachers.sources import CachedTeacher, LiveTeacher
from m2fp_kd.distill.teachers.target import TargetSource
from m2fp_kd.distill.teachers.tta import SINGLE_VIEW, Tta
from m2fp_kd.distill.teachers.whole_photo import WholePhotoTeacher, read_teacher_card, write_teacher_card
from m2fp_kd.labels import find_bridge, load_label_set
from m2fp_kd.pipeline.assemble.part_models import bridged, load_part_models
from m2fp_kd.pipeline.assemble.source_teachers import load_source_teachers, with_source_teachers
from m2fp_kd.runtime.provenance import TeacherCard
from m2fp_kd.shards import Shard, own_shard

log = logging.getLogger(__name__)


@dataclass
class Teacher:
    """A teacher as the stages use it.

    Attributes:
        source: returns the targets of a batch; None trains on labels alone.
        card: facts about the teacher, for cards and reports.
        whole: networks for whole photos; None if only its cache is available.
        own: teachers that the sources of a mix have for themselves.
    """

    source: TargetSource | None
    card: TeacherCard
    whole: WholePhotoTeacher | None = None
    own: SourceTeachers | None = None

    @property
    def all(self) -> TeacherCard:
        """Card of everything that teaches: the card itself, or with the sources' own teachers an ensemble's."""
        return self.card if self.own is None else with_source_teachers(self.card, self.own)

    @property
    def hashes(self) -> dict[str, str | None]:
        """SHA-256 of the weights and of the bridge, by the names that a run's folder records them under."""
        return {"teacher": self.all.sha256, "teacher.bridge": self.all.bridge_sha256}


def load_teacher(cfg: DictConfig, datamodule: ParsingDataModule) -> Teacher:
    """Load the teacher that ``cfg.teacher`` names, and those of a mix's sources; complete its cache if it has weights.

    Raises:
        ValueError: the mode is unknown, test-time augmentation is set without a cache to fill, or `load_part_models` or
            `load_source_teachers` raised it.
        CacheError: a cache without weights lacks targets or its card, or belongs to another label set.
    """
    own = load_source_teachers(cfg, datamodule)  # first, since filling a cache takes long
    return replace(_common_teacher(cfg, datamodule), own=own)


def _common_teacher(cfg: DictConfig, datamodule: ParsingDataModule) -> Teacher:
    mode, tta = cfg.teacher.mode, Tta(**cfg.teacher.tta)
    if mode == "none":
        return Teacher(None, TeacherCard())
    if mode == "own":
        return Teacher(instantiate(cfg.teacher.source), TeacherCard(cfg.teacher.name, cfg.teacher.licence))
    if mode not in ("live", "cached"):
        raise ValueError(f"teacher.mode={mode} is not one of none, live, cached, own")
    if tta != SINGLE_VIEW and (mode == "live" or cfg.teacher.checkpoint is None):
        raise ValueError(
            "teacher.tta averages several views of whole photos, which only a cache can hold; "
            "use teacher=cached teacher.checkpoint=FILE"
        )
    if mode == "cached" and cfg.teacher.checkpoint is None:
        return _stored(cfg, datamodule)
    whole = WholePhotoTeacher(load_part_models(cfg, datamodule.labels), datamodule.geometry, tta)
    card = teacher_card(whole)
    if mode == "live":
        return Teacher(LiveTeacher(whole.models), card, whole)
    _fill_cache(cfg, datamodule, whole, card)
    return Teacher(CachedTeacher(), card, whole)


def teacher_card(whole: WholePhotoTeacher) -> TeacherCard:
    """Return the card of a teacher of one network or several."""
    views = None if whole.tta == SINGLE_VIEW else asdict(whole.tta)
    cards = [model.card for model in whole.models]
    return replace(cards[0] if whole.single else TeacherCard.of_ensemble(cards, whole.labels.parts), tta=views)


def _stored(cfg: DictConfig, datamodule: ParsingDataModule) -> Teacher:
    """Return the teacher whose targets are in ``cfg.teacher.cache`` and whose weights are not at hand."""
    labels, folder = load_label_set(cfg.teacher.labels), Path(cfg.teacher.cache)
    bridge = find_bridge(labels, datamodule.labels, cfg.teacher.bridge)
    datamodule.cache = TeacherCache(folder, stored_key(folder), bridge)
    return Teacher(CachedTeacher(), bridged(read_teacher_card(folder, labels), bridge))


def _fill_cache(cfg: DictConfig, datamodule: ParsingDataModule, whole: WholePhotoTeacher, card: TeacherCard) -> None:
    """Complete the cache of a teacher under ``cfg.teacher.cache`` and give it to the data module."""
    for model in whole.models if datamodule.pseudo_labels else []:
        refuse_divided(model.bridge)
    own = [whole.geometry] if whole.single else []  # an ensemble's hash holds its members' sizes
    key = cache_key(str(card.sha256), datamodule.geometry, *own, tta=card.tta)
    folder = Path(cfg.teacher.cache) / key[:12]
    datamodule.cache = TeacherCache(folder, key, whole.single.bridge if whole.single else None)
    write_teacher_card(folder, replace(card, bridge=None, bridge_sha256=None))
    whole.to(_device(cfg))
    made = fill_cache(datamodule.cache, whole, datamodule.records, _shards(cfg.teacher.shard))
    whole.to("cpu")  # reports run it on the CPU
    log.info("teacher cache %s: computed %d targets, %d in total", folder, made, len(datamodule.cache.names))


def _shards(given: str | None) -> list[Shard | None]:
    """Return the shares of the cache that this process fills.

    Processes that torchrun started begin with a share each. Then they take the others' in turn, which wait for the
    process that fills them and are whole already, unless it was lost.
    """
    if given is not None:
        return [Shard.parse(given)]
    own = own_shard()
    return [None] if own is None else list(own.all_from_here())


def _device(cfg: DictConfig) -> torch.device:
    """Return the device that training runs on."""
    if cfg.trainer.accelerator == "cpu":
        return torch.device("cpu")
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
