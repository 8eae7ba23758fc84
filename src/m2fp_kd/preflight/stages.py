"""Check what the stages need, and options that contradict each other."""

from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from m2fp_kd.rules import shown


def check_sweep() -> None:
    """Refuse `sweep=` without `-m`, which would train a single run.

    Raises:
        ValueError: it is chosen so.
    """
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.RUN:
        chosen = HydraConfig.get().runtime.choices.get("sweep")
        if chosen not in (None, "null"):
            raise ValueError(f"sweep={chosen} needs -m: m2fp-kd train -m sweep={chosen} ...")


def check_stage(cfg: DictConfig) -> None:
    """Check that the stage's options are given and agree with each other.

    Raises:
        ValueError: they do not; the message names the options to add or to change.
    """
    STAGES[cfg.stage](cfg)
    if cfg.stage != "cache" and cfg.teacher.get("shard") is not None:
        raise ValueError(f"teacher.shard={cfg.teacher.shard} is for stage=cache; a training needs all targets")
    _check_photos(cfg)
    if cfg.stage not in ("teacher", "pretrain"):
        _check_teacher(cfg)


def _check_photos(cfg: DictConfig) -> None:
    for option in ("urls", "val_urls"):
        if OmegaConf.is_missing(cfg.data, option) or cfg.data.get(option, "") is None:
            raise ValueError(f"data.{option} is not set; give data.{option}='DIR/NAME-*.tar', the shards' addresses")
        if option in cfg.data and len(given := _overrides(f"data.{option}=")) > 1:
            raise ValueError(
                f"data.{option} is given {len(given)} times; quote its braces for the shell, as in "
                f"'data.{option}=NAME-{{0..9}}.tar'"
            )
    if cfg.stage != "pretrain" and "root" in (cfg.data.get("splits") or ()) and cfg.data.root is None:
        raise ValueError("data.root=null: give data.root=DIR, the folder of the photos")


def _check_teacher(cfg: DictConfig) -> None:
    teacher = cfg.teacher
    if teacher.mode in ("live", "cached") and teacher.checkpoint is None:
        if teacher.mode == "live":
            raise ValueError("teacher.mode=live needs the teacher's weights: add teacher.checkpoint=FILE")
        if teacher.cache is None or not Path(teacher.cache).is_dir():
            raise ValueError(
                "teacher.mode=cached needs the teacher's weights, teacher.checkpoint=FILE, or the folder of its filled "
                f"cache; teacher.cache={shown(teacher.cache)} is none"
            )
    if teacher.mode == "own" and teacher.get("source") is None:
        raise ValueError("teacher.mode=own needs +teacher.source._target_=YOUR.CLASS")


def _check_training(cfg: DictConfig) -> None:
    """Refuse a training that ends before its first validation, since the best epoch is chosen by it."""
    trainer = cfg.trainer
    epochs, every = trainer.get("max_epochs"), trainer.get("check_val_every_n_epoch", 1)
    if epochs == -1 and trainer.get("max_steps", -1) == -1:
        raise ValueError(
            "trainer.max_epochs=-1 has no last step, for which the learning rate falls; give trainer.max_epochs=N or "
            "+trainer.max_steps=N (+trainer.max_time ends a training earlier)"
        )
    if epochs is not None and 0 < epochs < every:
        raise ValueError(
            f"trainer.check_val_every_n_epoch={every} must be at most trainer.max_epochs={epochs}: the best epoch is "
            "chosen by its validation"
        )
    if trainer.get("enable_checkpointing") is False:
        raise ValueError("trainer.enable_checkpointing=false must be true: the student is the best saved epoch")


def _check_pretraining(cfg: DictConfig) -> None:
    if "sources" not in cfg.data and cfg.data.root is None and not cfg.data.unlabelled:
        raise ValueError("stage=pretrain needs photos: give data.root=DIR or data.unlabelled=DIR")
    _check_training(cfg)


def _overrides(prefix: str) -> list[str]:
    overrides = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    return [override for override in overrides if override.startswith(prefix)]


def _check_cache(cfg: DictConfig) -> None:
    if "urls" in cfg.data:
        raise ValueError(
            "stage=cache data=shards: fill the cache from the folder that the shards are made of (data=own "
            "data.root=DIR), then pack its targets: m2fp-kd shards make DIR OUT --labels SET --cache CACHE"
        )
    if cfg.teacher.mode != "cached" or cfg.teacher.checkpoint is None:
        raise ValueError("stage=cache needs teacher=cached teacher.checkpoint=FILE")


def _check_compression(cfg: DictConfig) -> None:
    if cfg.student.checkpoint is None:
        raise ValueError("stage=compress needs student.checkpoint=PATH, the student.json of a run")


STAGES: dict[str, Callable[[DictConfig], None]] = {
    "train": _check_training,
    "teacher": _check_training,
    "cache": _check_cache,
    "compress": _check_compression,
    "pretrain": _check_pretraining,
}
"""Stage -> check of its options."""
