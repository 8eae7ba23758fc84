"""Renaming of the last version's options, for command lines and for the settings of earlier runs."""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

OPTIONS = {
    r"teacher\.ensemble": "teacher.tta",
    r"distill\.fade": "distill.anneal",
    r"distill\.terms\.(\w+)\.fade": r"distill.terms.\1.anneal",
    r"stop_hopeless": "median_stopping",
    r"compress\.arithmetic": "compress.precision",
    r"compress\.gates\.arithmetic": "compress.gates.precision",
    r"compress\.steps\.program": "compress.steps.torch_export",
    r"compress\.steps\.(\w+)\.of": r"compress.steps.\1.made_from",
    r"data\.module\.(root|val|test|val_root|length|val_length)": r"data.splits.\1",
    r"data\.module\.people": "data.splits.persons",
}
"""Pattern of an old option -> new name; options nested in it are renamed with it."""

STEP_GROUP, OLD_STEP, NEW_STEP = "compress/step@", "program", "torch_export"

_OVERRIDE = re.compile(r"(?P<sign>~|\+{0,2})(?P<option>[^-=+~][^=]*)(?P<value>=.*)?", re.DOTALL)


def new_name(option: str) -> str:
    """Return the present name of an option, given with dots (``distill.fade``); most keep theirs."""
    for old, new in OPTIONS.items():
        option = re.sub(rf"^{old}(?=\.|$)", new, option)
    return option


def new_names(arguments: Sequence[str]) -> list[str]:
    """Rewrite Hydra overrides that use an option's old name, with one warning each; keep all other arguments.

    Args:
        arguments: command line without the program's name, such as ``["-m", "distill.fade=0.5,0.6"]``.

    Returns:
        The same number of arguments.
    """
    return list(map(_renamed, arguments))


def new_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an earlier run under their present names, with those that were implicit then.

    Args:
        settings: dotted option -> value, all interpolations resolved.
    """
    renamed = {new_name(option): value for option, value in settings.items()}
    added: dict[str, Any] = {"data.module.pseudo_labels": False}
    if "data.splits.length" in renamed:  # synthetic scenes
        added |= {"data.splits.size": renamed["data.size"], "data.splits.seed": renamed["seed"]}
        added |= {"data.module.labels": renamed["data.labels"]}
    added |= renamed
    prefix = "data.splits."
    copies = {
        option.replace("data.", "data.module.", 1): added[option] for option in added if option.startswith(prefix)
    }
    return copies | added  # data.module.splits refers to data.splits


def _renamed(argument: str) -> str:
    parsed = _OVERRIDE.fullmatch(argument)
    if parsed is None:
        return argument
    option, value = new_name(parsed["option"]), parsed["value"] or ""
    if option.startswith(STEP_GROUP):
        value = re.sub(rf"\b{OLD_STEP}\b", NEW_STEP, value)
    renamed = f"{parsed['sign']}{option}{value}"
    if renamed != argument:
        warnings.warn(f"'{argument}' uses an old name; write '{renamed}'", FutureWarning, stacklevel=3)
    return renamed
