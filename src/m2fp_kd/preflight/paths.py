"""Check the paths and label sets that options name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from m2fp_kd.labels import load_label_set
from m2fp_kd.rules import means_file

FOLDERS = ("data.root", "data.splits.val_root", "data.unlabelled")
"""Options that name folders, one or a list."""

FILES = (
    "backbone.weights", "teacher.backbone.weights", "teacher.checkpoint", "teacher.classes", "teacher.bridge",
    "student.checkpoint", "pretrain.teacher_weights", "ckpt_path",
)  # fmt: skip
"""Options that name files, one or a list."""

WORDS = {
    "data.unlabelled": ("own",),
    "backbone.weights": ("m2fp_kd",),
    "teacher.backbone.weights": ("m2fp_kd",),
    "ckpt_path": ("last",),
}
"""Values that are no paths."""

MODELS = ("teacher.checkpoint", "student.checkpoint", "pretrain.teacher_weights", "teacher.bridge")
"""Options that also take a name, such as that of a model of a hub (which may have a dot), or a folder."""


def check_paths(cfg: DictConfig) -> None:
    """Check that the folders, files and label sets that the options name exist.

    Args:
        cfg: composed configuration.

    Raises:
        FileNotFoundError: one does not exist; the message names the option and the path.
        ValueError: an option is not set, a label set is unknown, or a run that starts over would remove its own start.
    """
    sources = [f"data.sources.{name}" for name in OmegaConf.select(cfg, "data.sources") or ()]
    for option in (f"{part}.labels" for part in ("data", "teacher", *sources)):
        if isinstance(name := OmegaConf.select(cfg, option), str):
            load_label_set(name)
    for option in (*FOLDERS, *(f"{source}.root" for source in sources)):
        for path in _given(cfg, option):
            if not path.is_dir():
                kind = "is a file, not a folder" if path.is_file() else "no such folder"
                raise FileNotFoundError(f"{option}={path}: {kind}")
    teachers = [f"{source}.teacher" for source in sources]
    for option in (*FILES, *teachers):
        for path in _given(cfg, option):
            if not path.exists() and (option not in (*MODELS, *teachers) or means_file(path)):
                raise FileNotFoundError(f"{option}={path}: no such file")
            if cfg.ckpt_path != "last" and option != "ckpt_path" and _removed(cfg, path):
                raise ValueError(
                    f"{option}={path} lies in the folder of this run, which starts over (ckpt_path={cfg.ckpt_path}) "
                    "and removes it; choose another name=NAME"
                )


def _removed(cfg: DictConfig, path: Path) -> bool:
    """Whether a run that starts over removes a file; compression keeps the networks of the training before it."""
    inside = path.resolve().is_relative_to(Path(cfg.run_dir).resolve())
    return inside and not (cfg.stage == "compress" and path.stem in ("student", "teacher"))


def _given(cfg: DictConfig, option: str) -> Iterator[Path]:
    """Yield the paths that an option holds, also as the checkpoints of mappings."""
    parent, _, key = option.rpartition(".")
    node: Any = OmegaConf.select(cfg, parent) if parent else cfg
    if not isinstance(node, DictConfig):
        return
    if OmegaConf.is_missing(node, key):
        raise ValueError(f"{option} is not set; give {option}=PATH")
    value = node.get(key)
    for one in value if isinstance(value, ListConfig) else [value]:
        if not isinstance(one, str | DictConfig | None):
            raise ValueError(f"{option}={one} must be a path; quote it, as in '{option}=\"{one}\"'")
        if isinstance(one, DictConfig):
            one = one.get("checkpoint")
        if isinstance(one, str) and one not in WORDS.get(option, ()):
            yield Path(one)
