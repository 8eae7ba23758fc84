"""Check the options of Lightning's Trainer."""

import ast
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig

from m2fp_kd.rules import shown

INSTEAD = {
    "fast_dev_run": "it saves no state; for a trial run use trainer.max_epochs=1 data.module.limit=4",
    "overfit_batches": "it replaces the order of the photos; to overfit a few use data.module.limit=16",
    "barebones": "it saves no state; leave it out",
}
"""Options that switch off what a run needs -> what to use instead."""

OURS = {
    "logger": "logger=csv or logger=wandb",
    "default_root_dir": "run_dir=DIR",
    "callbacks": "none of your own",
    "plugins": "none of your own",
}
"""Options that the run sets itself -> what to use instead."""


def check_trainer(trainer: DictConfig) -> None:
    """Check the names of the options of ``trainer``, and that none of them switches off what a run needs.

    Raises:
        ValueError: an option does not exist or cannot be used; the message names it and what to use instead.
    """
    for name in map(str, trainer):
        if name not in trainer_options() and not name.startswith("_"):
            near = get_close_matches(name, trainer_options(), 1)
            hint = f"; did you mean trainer.{near[0]}?" if near else ""
            raise ValueError(f"trainer.{name} is no option of Lightning's Trainer{hint}")
        if name in INSTEAD and trainer[name]:
            raise ValueError(f"trainer.{name}={shown(trainer[name])} cannot train a student: {INSTEAD[name]}")
        if name in OURS:
            raise ValueError(f"trainer.{name}={shown(trainer[name])} is set by the run: use {OURS[name]}")


@cache
def trainer_options() -> tuple[str, ...]:
    """Return the options of the installed Lightning's Trainer; its source has them, and importing it takes seconds."""
    package = find_spec("pytorch_lightning")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'pytorch_lightning'", name="pytorch_lightning")
    source = (Path(package.origin).parent / "trainer" / "trainer.py").read_text(encoding="utf-8")
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    parameters = next(node.args for node in functions if node.name == "__init__")
    return tuple(parameter.arg for parameter in parameters.kwonlyargs)
