"""Check types and ranges of options."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from m2fp_kd import shards
from m2fp_kd.compress.options import check_settings
from m2fp_kd.data import augmentation
from m2fp_kd.preflight.stages import STAGES
from m2fp_kd.rules import FLAG, GROUP, TEXT, Rule, either, interval, number, one_of, optional, several, whole


def _is_name(value: Any) -> bool:
    path = Path(str(value))
    return isinstance(value, str | int) and bool(path.name) and ".." not in path.parts and not path.is_absolute()


def _is_devices(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(whole(0).holds, value)) and len(set(value)) == len(value)
    return value == "auto" or value == -1 or whole(1).holds(value)


def _is_normalisation(value: Any) -> bool:
    rules = {"mean": number(0), "std": number(0, open_low=True)}
    if not isinstance(value, Mapping) or set(value) != set(rules):
        return False
    return all(_are_three(value[name], rule) for name, rule in rules.items())


def _are_three(values: Any, rule: Rule) -> bool:
    return isinstance(values, Sequence) and len(values) == 3 and all(map(rule.holds, values))


SHARE = number(0, 1)
SHARE_ABOVE_0 = number(0, 1, open_low=True)
SIDE = Rule("a multiple of 32 from 32", lambda value: whole(32).holds(value) and value % 32 == 0)
COUNT_OR_SHARE = Rule(
    "a whole number from 1, or a share above 0 to 1.0",
    lambda value: SHARE_ABOVE_0.holds(value) or whole(1).holds(value),
)
NAME = Rule("a name, which is also one of a folder", _is_name)
SHARD = Rule(shards.ALLOWED, lambda value: isinstance(value, str) and _is_shard(value))
LABELS = Rule("the name of a label set, or a YAML file", lambda value: isinstance(value, str))
PRECISION = one_of(
    "32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true", "32", "16", "64", "bf16",
    "transformer-engine", "transformer-engine-float16", "auto",
)  # fmt: skip
IMAGENET = "{mean:[123.675,116.28,103.53],std:[58.395,57.12,57.375]}"
NORMALISATION = Rule(
    f"mean and std, three numbers each in 0..255 and std above 0, such as {IMAGENET}, or null",
    lambda value: value is None or _is_normalisation(value),
)
OR_ALL = Rule("a whole number from 1, or -1", lambda value: value == -1 or whole(1).holds(value))

RULES = {
    **dict.fromkeys(("optimizer", "schedule", "logger.*", "student.network", "teacher.network", "teacher.tta"), GROUP),
    **dict.fromkeys(("data.splits", "data.module", "data.module.augmentation", "pretrain.augmentation"), GROUP),
    **{f"{group}.{terms}": GROUP for group in ("distill", "student", "teacher") for terms in ("terms", "terms.*")},
    "median_stopping": optional(GROUP),
    "stage": one_of(*STAGES),
    "name": NAME,
    "run_dir": TEXT,
    "seed": Rule("a whole number from 0 to 4294967295", lambda value: whole(0).holds(value) and value < 2**32),
    "ckpt_path": Rule("last, null or a file", lambda value: value is None or (isinstance(value, str) and value != "")),
    "lr": number(0, open_low=True),
    "backbone_lr_scale": number(0),
    "weight_decay": number(0),
    "ema": optional(number(0, 1, open_low=True, open_high=True)),
    "compile": FLAG,
    "schedule.warmup": number(0, 1, open_high=True),
    "schedule.power": number(0),
    "data.name": NAME,
    **{f"{group}.licence": optional(TEXT) for group in ("data", "data.sources.*", "teacher", "pretrain")},
    "data.labels": LABELS,
    "data.size": SIDE,
    "data.batch_size": whole(1),
    "data.label_fraction": optional(SHARE_ABOVE_0),
    "data.unlabelled_ratio": optional(number(0, 1, open_high=True)),
    "data.splits.length": whole(1),
    "data.splits.val_length": whole(1),
    "data.splits.persons": interval(whole(0)),
    "data.splits.held_out": COUNT_OR_SHARE,
    "data.sources.*.labels": LABELS,
    "data.sources.*.ratio": number(0, open_low=True),
    "data.module.limit": optional(whole(1)),
    "data.module.workers": whole(0),
    "data.module.buffer": whole(1),
    "data.module.seed": whole(0),
    "data.module.epoch_length": optional(whole(1)),
    "data.module.pseudo_labels": FLAG,
    "backbone.pretrained": FLAG,
    "student.head_from_teacher": FLAG,
    "student.network.width": optional(whole(1)),
    "student.network.queries": optional(whole(1)),
    "student.network.layers": whole(1),
    "teacher.mode": one_of("none", "live", "cached", "own"),
    "teacher.labels": LABELS,
    "teacher.size": optional(SIDE),
    "teacher.normalisation": NORMALISATION,
    "teacher.cache": optional(TEXT),
    "teacher.tta.flip": FLAG,
    "teacher.tta.scales": several(number(0, open_low=True)),
    "teacher.shard": optional(SHARD),
    **{f"teacher.network.{name}": whole(1) for name in ("width", "mask_width", "queries", "encoder_layers")},
    **{f"teacher.network.{name}": whole(1) for name in ("decoder_layers", "encoder_feedforward")},
    "teacher.network.decoder_feedforward": whole(1),
    "distill.alpha": optional(SHARE),
    "distill.temperature": optional(number(0, open_low=True)),
    "distill.anneal": optional(SHARE_ABOVE_0),
    **{f"{group}.terms.*.weight": number(0) for group in ("distill", "student", "teacher")},
    **{f"{group}.terms.*.anneal": optional(SHARE_ABOVE_0) for group in ("distill", "student", "teacher")},
    "trainer.accelerator": one_of("cpu", "gpu", "cuda", "mps", "tpu", "auto"),
    "trainer.devices": Rule("auto, a whole number from 1, -1 for all, or a list such as [0,1]", _is_devices),
    "trainer.num_nodes": whole(1),
    "trainer.precision": Rule(PRECISION.allowed, lambda value: PRECISION.holds(str(value))),
    "trainer.deterministic": optional(either(FLAG, one_of("warn"))),
    "trainer.benchmark": optional(FLAG),
    "trainer.max_epochs": Rule("a whole number from 1, or -1 with trainer.max_steps", OR_ALL.holds),
    "trainer.max_steps": OR_ALL,
    "trainer.check_val_every_n_epoch": whole(1),
    "trainer.limit_train_batches": optional(COUNT_OR_SHARE),
    "trainer.limit_val_batches": optional(COUNT_OR_SHARE),
    "trainer.val_check_interval": optional(COUNT_OR_SHARE),
    "trainer.num_sanity_val_steps": Rule("a whole number from -1", lambda value: value == -1 or whole(0).holds(value)),
    "trainer.accumulate_grad_batches": whole(1),
    "trainer.log_every_n_steps": whole(1),
    "trainer.gradient_clip_val": optional(number(0)),
    "trainer.gradient_clip_algorithm": optional(one_of("norm", "value")),
    **{
        f"{option}.{name}": rule
        for option in ("data.module.augmentation", "pretrain.augmentation")
        for name, rule in augmentation.RULES.items()
    },
}
"""Option -> its values; a ``*`` stands for every name. An option that a configuration lacks is not checked."""


def _is_shard(text: str) -> bool:
    try:
        return bool(shards.Shard.parse(text))
    except ValueError:
        return False


def check_options(cfg: DictConfig) -> None:
    """Check types and ranges of the options of a run.

    Raises:
        ValueError: an option has an impossible value; the message names it, its value and what is allowed.
    """
    check_rules(cfg)
    for option in _empty(OmegaConf.to_container(cfg, resolve=False)):
        raise ValueError(f"{option}= has no value; give one, or null where none is allowed")
    compression: Any = OmegaConf.to_container(cfg.compress, resolve=True)
    check_settings(compression)


def check_rules(cfg: DictConfig, group: str = "") -> None:
    """Check the options of a group, such as "teacher.", or all that have rules.

    Raises:
        ValueError: as `check_options`.
    """
    for pattern, rule in RULES.items():
        if pattern.startswith(group):
            for option, value in _given(cfg, pattern):
                rule.check(option, value)


def _given(node: Any, pattern: str, parent: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the options that a pattern names, each with its value."""
    name, _, rest = pattern.partition(".")
    if not isinstance(node, DictConfig):
        return
    for key in map(str, node) if name == "*" else [name]:
        if key in node and not OmegaConf.is_missing(node, key):
            value, option = node[key], f"{parent}.{key}".removeprefix(".")
            yield from _given(value, rest, option) if rest else [(option, _plain(value))]


def _empty(node: Any, parent: str = "") -> Iterator[str]:
    """Yield the options whose value is an empty text, such as that of a shell's variable that is not set."""
    if node == "":
        yield parent
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from _empty(value, f"{parent}.{key}".removeprefix("."))


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, ListConfig) else value
