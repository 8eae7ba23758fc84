"""Check the options of a training before any work: types, ranges and contradictions."""

import math
from collections.abc import Callable
from difflib import get_close_matches
from inspect import signature
from typing import Any, NamedTuple

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf


class Rule(NamedTuple):
    """Values that an option may have.

    Attributes:
        allowed: description of the values, for the message.
        holds: whether a value is one of them.
    """

    allowed: str
    holds: Callable[[Any], bool]


def whole(least: int) -> Rule:
    """Allow whole numbers from ``least`` on."""
    return Rule(f"a whole number from {least}", lambda value: _is_whole(value) and value >= least)


def number(least: float, most: float = math.inf, *, open_low: bool = False, open_high: bool = False) -> Rule:
    """Allow numbers from ``least`` to ``most``; an open end is not allowed itself."""
    low = f"above {least:g}" if open_low else f"at least {least:g}"
    high = "" if most == math.inf else f" and {'below' if open_high else 'at most'} {most:g}"

    def holds(value: Any) -> bool:
        if not (_is_whole(value) or isinstance(value, float)) or not math.isfinite(value):
            return False
        return (value > least if open_low else value >= least) and (value < most if open_high else value <= most)

    return Rule(f"a number {low}{high}", holds)


def optional(rule: Rule) -> Rule:
    """Allow null as well."""
    return Rule(f"{rule.allowed}, or null", lambda value: value is None or rule.holds(value))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


FLAG = Rule("true or false", lambda value: isinstance(value, bool))
COUNT_OR_SHARE = Rule(
    "a whole number from 1, or a share above 0 to 1.0",
    lambda value: number(0, 1, open_low=True).holds(value) or whole(1).holds(value),
)
LAST_EPOCH = Rule(
    "a whole number from 1, or -1 with trainer.max_steps", lambda value: value == -1 or whole(1).holds(value)
)

RULES = {
    "seed": Rule("a whole number from 0 to 4294967295", lambda value: whole(0).holds(value) and value < 2**32),
    "lr": number(0, open_low=True),
    "backbone_lr_scale": number(0),
    "weight_decay": number(0),
    "ema": optional(number(0, 1, open_low=True, open_high=True)),
    "compile": FLAG,
    "schedule.warmup": number(0, 1, open_high=True),
    "schedule.power": number(0),
    "distill.alpha": optional(number(0, 1)),
    "distill.temperature": optional(number(0, open_low=True)),
    "distill.anneal": optional(number(0, 1, open_low=True)),
    "data.size": Rule("a multiple of 32 from 32", lambda value: whole(32).holds(value) and value % 32 == 0),
    "data.batch_size": whole(1),
    "data.label_fraction": optional(number(0, 1, open_low=True)),
    "data.unlabelled_ratio": optional(number(0, 1, open_high=True)),
    "data.module.limit": optional(whole(1)),
    "data.module.workers": whole(0),
    "data.module.pseudo_labels": FLAG,
    "trainer.max_epochs": LAST_EPOCH,
    "trainer.max_steps": Rule("a whole number from 1, or -1", lambda value: value == -1 or whole(1).holds(value)),
    "trainer.check_val_every_n_epoch": whole(1),
    "trainer.limit_train_batches": optional(COUNT_OR_SHARE),
    "trainer.limit_val_batches": optional(COUNT_OR_SHARE),
    "trainer.val_check_interval": optional(COUNT_OR_SHARE),
    "trainer.num_sanity_val_steps": Rule("a whole number from -1", lambda value: value == -1 or whole(0).holds(value)),
    "trainer.accumulate_grad_batches": whole(1),
    "trainer.log_every_n_steps": whole(1),
    "trainer.gradient_clip_val": optional(number(0)),
}
"""Option -> its values. An option that a configuration lacks is not checked."""

INSTEAD = {
    "fast_dev_run": "it saves no state; for a trial run use trainer.max_epochs=1 data.module.limit=4",
    "overfit_batches": "it replaces the order of the photos; to overfit a few use data.module.limit=16",
    "barebones": "it saves no state; leave it out",
}
"""Lightning's options that switch off what a run needs -> what to use instead."""


def check_options(cfg: DictConfig) -> None:
    """Check the options of a run that concern training.

    Raises:
        ValueError: an option has an impossible value, does not exist, or contradicts another one; the message names it,
            its value and what is allowed.
    """
    _check_sweep()
    _check_trainer_names(cfg.trainer)
    for option, rule in RULES.items():
        value = OmegaConf.select(cfg, option, default=rule)
        if value is not rule and not rule.holds(value):
            raise ValueError(f"{option}={_shown(value)} must be {rule.allowed}")
    if cfg.stage in ("train", "teacher", "pretrain"):
        _check_validation(cfg.trainer)


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _check_sweep() -> None:
    """Refuse `sweep=` without `-m`, which would train a single run."""
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.RUN:
        chosen = HydraConfig.get().runtime.choices.get("sweep")
        if chosen not in (None, "null"):
            raise ValueError(f"sweep={chosen} needs -m: m2fp-kd train -m sweep={chosen} ...")


def _check_trainer_names(trainer: DictConfig) -> None:
    known = list(signature(pl.Trainer).parameters)
    for name in map(str, trainer):
        if name not in known and not name.startswith("_"):
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean trainer.{near[0]}?" if near else ""
            raise ValueError(f"trainer.{name} is no option of Lightning's Trainer{hint}")
        if name in INSTEAD and trainer[name]:
            raise ValueError(f"trainer.{name}={_shown(trainer[name])} cannot train a student: {INSTEAD[name]}")


def _check_validation(trainer: DictConfig) -> None:
    """Refuse a training that ends before its first validation, since the best epoch is chosen by it."""
    epochs, every = trainer.get("max_epochs"), trainer.get("check_val_every_n_epoch", 1)
    if epochs == -1 and trainer.get("max_steps", -1) == -1 and trainer.get("max_time") is None:
        raise ValueError("trainer.max_epochs=-1 never ends; give trainer.max_epochs=N or +trainer.max_steps=N")
    if epochs is not None and 0 < epochs < every:
        raise ValueError(
            f"trainer.check_val_every_n_epoch={every} must be at most trainer.max_epochs={epochs}: the best epoch is "
            "chosen by its validation"
        )
    if trainer.get("enable_checkpointing") is False:
        raise ValueError("trainer.enable_checkpointing=false must be true: the student is the best saved epoch")
