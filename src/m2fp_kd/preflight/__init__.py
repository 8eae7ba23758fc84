"""Check a configuration before PyTorch is imported, which takes seconds."""

from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig

from m2fp_kd.preflight.options import check_options
from m2fp_kd.preflight.paths import check_paths
from m2fp_kd.preflight.stages import check_stage, check_sweep
from m2fp_kd.preflight.trainer import check_trainer


def check(cfg: DictConfig) -> None:
    """Check all that a composed configuration shows by itself.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: an option has an impossible value, does not exist, or contradicts another one. Like that of the
            other error, the message names the option, its value and what is allowed.
    """
    check_sweep()
    check_trainer(cfg.trainer)
    check_options(cfg)
    check_paths(cfg)
    check_stage(cfg)


def remove_empty(folder: Path) -> None:
    """Remove the folder of a run that did not begin, if it has nothing but an empty log; its parent too if it is empty.

    The current folder stays.
    """
    files = list(folder.iterdir()) if folder.is_dir() else []
    if folder.absolute() != Path.cwd() and all(
        file.suffix == ".log" and file.is_file() and not file.stat().st_size for file in files
    ):
        for file in files:
            file.unlink()
        with suppress(OSError):  # the parent holds other runs
            folder.rmdir()
            folder.parent.rmdir()
