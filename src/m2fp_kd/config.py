"""Resolvers that the configuration under conf/ uses, so that the data's label set is named in one place."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from m2fp_kd.evaluation.cpu import describe_cpu
from m2fp_kd.labels import load_label_set

# What may differ between two calls that continue the same run.
VOLATILE = ("hydra", "name", "run_dir", "ckpt_path", "logger")


def digest(*, _root_: DictConfig) -> str:
    """Eight hexadecimal digits that name the configuration: same settings, same run folder."""
    content = OmegaConf.to_container(_root_, resolve=False)
    assert isinstance(content, dict)
    kept = {key: value for key, value in content.items() if key not in VOLATILE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def cpu_precision() -> str:
    """Lightning's precision for training here: bfloat16 where the CPU computes in it, which halves the time."""
    features = describe_cpu().features
    return "bf16-mixed" if {"AVX-512 BF16", "AMX BF16"} & set(features or ()) else "32-true"


def register_resolvers() -> None:
    """Make the resolvers of ``conf/`` known: ``${num_parts:LABELS}``, ``${one_minus:x}``, ``${digest:}`` and so on."""
    resolvers: dict[str, Callable[..., Any]] = {
        "num_parts": lambda labels: load_label_set(labels).num_parts,
        "num_classes": lambda labels: load_label_set(labels).num_classes,
        "has_human": lambda labels: load_label_set(labels).has_human,
        "one_minus": lambda value: round(1 - value, 10),
        "cpu_precision": cpu_precision,
        "digest": digest,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)
