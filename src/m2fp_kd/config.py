"""Resolvers of the configuration under conf/, and comparison of configurations."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf

from m2fp_kd.evaluation.speed.cpu import cpu_precision
from m2fp_kd.labels import load_label_set
from m2fp_kd.renamed import new_settings
from m2fp_kd.shipped import sample_folder

# Settings that may differ between two calls that continue the same run.
VOLATILE = ("hydra", "name", "run_dir", "ckpt_path", "logger")

# Settings below these names judge a run and change nothing in it: new limits check the same files again.
JUDGING = "compress.gates."

# Folders that are no config groups of the project.
NO_GROUPS = ("hydra", "wandb_sweep")


_PATH_OVERRIDE = re.compile(r"(?P<key>\+{0,2}[\w@./:-]+=)(?P<value>[^\[{('\"].*)", re.DOTALL)


def quoted(arguments: Sequence[str]) -> list[str]:
    """Quote the values that Hydra's grammar cannot read, such as paths with ``=``, brackets or letters beyond ASCII.

    A ``~`` at the beginning is the user's home; the shell does not replace it there. Lists, dictionaries, and choices
    of a sweep, which have commas, keep their meaning.

    Args:
        arguments: command line without the program's name.

    Returns:
        The same number of arguments.
    """
    parser = OverridesParser.create()
    return [_quoted(parser, argument) for argument in arguments]


def _quoted(parser: OverridesParser, argument: str) -> str:
    override = _PATH_OVERRIDE.fullmatch(argument)
    if override is None or "," in override["value"]:
        return argument
    try:
        parser.parse_override(argument)
        return argument
    except HydraException:
        value = override["value"]
        if value == "~" or value.startswith("~/"):
            value = str(Path(value).expanduser())
        escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value)
        return f"{override['key']}'{escaped}'"


def digest(*, _root_: DictConfig) -> str:
    """Hash the settings to eight hexadecimal digits, so that equal settings share a run folder."""
    content = OmegaConf.to_container(_root_, resolve=False)
    assert isinstance(content, dict)
    kept = {key: value for key, value in content.items() if key not in VOLATILE}
    kept["compress"] = {key: value for key, value in kept["compress"].items() if key != "gates"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def differences(before: DictConfig, after: DictConfig) -> list[str]:
    """List the settings that differ between two configurations, as ``key: before -> after``.

    VOLATILE and JUDGING settings are ignored, and so are the import paths of the project's own classes, which change
    between versions; the names of the config groups' choices identify the classes.

    Args:
        before: configuration of an earlier run, possibly under the options' old names.
        after: configuration of this run.
    """
    old, new = new_settings(_settings(before)), _settings(after)
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in sorted(old | new) if old.get(key) != new.get(key)]


def _settings(config: DictConfig) -> dict[str, Any]:
    leaves = _leaves({key: config[key] for key in config if key not in VOLATILE})
    return {
        key: value
        for key, value in leaves.items()
        if not key.startswith(JUDGING) and not (key.endswith("._target_") and value.startswith("m2fp_kd."))
    }


def _leaves(node: Any, path: str = "") -> dict[str, Any]:
    """Flatten a node to dotted path -> resolved value."""
    if not isinstance(node, Mapping | DictConfig):
        return {path: list(node) if isinstance(node, ListConfig) else node}
    return {
        leaf: value for key in node for leaf, value in _leaves(node[key], f"{path}.{key}" if path else str(key)).items()
    }


def subject(*, _root_: DictConfig) -> str:
    """Name the network that a run trains: the teacher, a backbone, or the student and its backbone."""
    names = {"teacher": _root_.teacher.name, "pretrain": _root_.backbone.name}
    return names.get(_root_.stage) or f"{_root_.student.name}-{_root_.backbone.name}"


def experiment(*, _root_: DictConfig) -> str:
    """Return the experiment chosen on the command line (several as ``ppp+fair_kd``), else the name of the data."""
    overrides = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    chosen = [override.removeprefix("experiment=") for override in overrides if override.startswith("experiment=")]
    return chosen[-1].strip("[]").replace(",", "+") if chosen else _root_.data.name


def teacher_file(*, _root_: DictConfig) -> str:
    """Name the teacher's cache by its checkpoint: ``RUN-teacher`` for ``runs/RUN/teacher.json``, members by +."""
    if OmegaConf.is_missing(_root_.teacher, "checkpoint"):
        return "teacher"
    found = _root_.teacher.checkpoint
    members = found if isinstance(found, ListConfig) else [found]
    names = [member.checkpoint if isinstance(member, DictConfig) else member for member in members]
    return "+".join("-".join(_last_two(Path(str(name)))) for name in names)


def _last_two(path: Path) -> list[str]:
    """Return the last two parts of a path, without its ending; ``.`` and ``..`` have names too."""
    path = path.with_suffix("") if path.name.strip(".") else path.resolve()
    return [part for part in path.parts[-2:] if part.strip("/.")]


def tags(*, _root_: DictConfig) -> ListConfig:
    """Return the tags of a run: kind of network, backbone and terms of the objective, or the teacher of features."""
    if _root_.stage == "pretrain":
        return ListConfig([_root_.backbone.name, _root_.pretrain.teacher])
    network, parts = (
        (["m2fp", _root_.teacher.backbone.name], [_root_.teacher.terms])
        if _root_.stage == "teacher"
        else ([_root_.student.name, _root_.backbone.name], [_root_.distill.terms, _root_.student.terms])
    )
    return ListConfig(network + [name for terms in parts for name, term in terms.items() if term.weight])


def licences(*, _root_: DictConfig) -> str | None:
    """Return the terms of the photos of all sources of a mix, each once."""
    terms = dict.fromkeys(source.licence for source in _root_.data.sources.values() if source.licence)
    return "; ".join(terms) or None


def groups() -> str:
    """List every config group with its choices, one line each, for ``--help``.

    ``base`` has the settings that a group's choices share and is not a choice itself.
    """
    loader = GlobalHydra.instance().config_loader()
    choices = {group: set(loader.get_group_options(group)) - {"base"} for group in _groups(loader)}
    return "\n".join(f"{group}: {', '.join(sorted(names))}" for group, names in choices.items() if names)


def _groups(loader: ConfigLoader, parent: str = "") -> Iterator[str]:
    for name in sorted(loader.list_groups(parent)):
        if name not in NO_GROUPS:
            yield parent + name
            yield from _groups(loader, f"{parent}{name}/")


def processes() -> int | str:
    """Return the processes of torchrun on this machine; "auto" without it, which is one for each GPU, or one."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if "LOCAL_WORLD_SIZE" in os.environ else "auto"


def nodes() -> int:
    """Return the number of machines on which torchrun started this training."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return int(os.environ.get("WORLD_SIZE", here)) // here


def register_resolvers() -> None:
    """Register the resolvers of ``conf/`` with OmegaConf: ``${num_parts:LABELS}``, ``${one_minus:x}`` and so on."""
    resolvers: dict[str, Callable[..., Any]] = {
        "num_parts": lambda labels: load_label_set(labels).num_parts,
        "num_classes": lambda labels: load_label_set(labels).num_classes,
        "has_human": lambda labels: load_label_set(labels).has_human,
        "unless": lambda condition, value: None if condition else value,
        "one_minus": lambda value: round(1 - value, 10),
        "cpu_precision": cpu_precision,
        "processes": processes,
        "nodes": nodes,
        "sample": lambda: str(sample_folder()),
        "digest": digest,
        "subject": subject,
        "teacher_file": teacher_file,
        "experiment": experiment,
        "tags": tags,
        "licences": licences,
        "groups": groups,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)
