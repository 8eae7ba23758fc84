"""Tie a run folder to its settings, photos and teacher: it is resumed only if all of them are the same."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from m2fp_kd.config import differences
from m2fp_kd.runtime.files import atomic_path

SETTINGS, SOURCES = "config.yaml", "sources.json"


def claim(cfg: DictConfig) -> None:
    """Start or resume ``cfg.run_dir``; with ``ckpt_path=null`` remove earlier results first.

    Raises:
        FileNotFoundError: ``ckpt_path`` names a file that does not exist.
        ValueError: the folder belongs to other settings; the message lists the differences.
    """
    folder = Path(cfg.run_dir)
    if cfg.ckpt_path == "last":
        _require_same_settings(folder, cfg)
    elif cfg.stage != "cache":
        _clear(folder, cfg.stage, cfg.ckpt_path)
    with atomic_path(folder / SETTINGS) as temporary:
        OmegaConf.save(cfg, temporary, resolve=True)


def claim_sources(cfg: DictConfig, claimed: dict[str, str | None]) -> None:
    """Record the SHA-256 of the photos, teacher and starting weights of a run folder.

    Raises:
        ValueError: the folder belongs to others.
    """
    path = Path(cfg.run_dir) / SOURCES
    if cfg.ckpt_path == "last" and path.is_file():
        before = json.loads(path.read_text())
        if changed := [name for name in claimed if before.get(name) != claimed[name]]:
            raise ValueError(
                f"{cfg.run_dir} belongs to another {' and another '.join(changed)}; "
                "start over with ckpt_path=null, or choose another name=NAME"
            )
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(claimed, indent=1))


def sources(cfg: DictConfig) -> dict[str, str | None]:
    """Return the hashes that `claim_sources` wrote into the run's folder."""
    found: dict[str, str | None] = json.loads((Path(cfg.run_dir) / SOURCES).read_text())
    return found


def _require_same_settings(folder: Path, cfg: DictConfig) -> None:
    if not (folder / SETTINGS).is_file():
        return
    if changed := differences(cast(DictConfig, OmegaConf.load(folder / SETTINGS)), cfg):
        shown = "; ".join(changed[:5]) + ("; …" if len(changed) > 5 else "")
        raise ValueError(
            f"{folder} belongs to other settings ({shown}); choose another name=NAME, start over with "
            "ckpt_path=null, or resume a checkpoint with its optimiser and learning rate by ckpt_path=FILE"
        )


def _clear(folder: Path, stage: str, ckpt_path: Any) -> None:
    """Remove what an earlier run finished, so that it is not mistaken for a result of this run."""
    (folder / SOURCES).unlink(missing_ok=True)
    if stage == "compress":  # it trains nothing, and the student.json there may belong to another run
        return
    if ckpt_path is None:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    elif not Path(ckpt_path).is_file():
        raise FileNotFoundError(
            f"ckpt_path={ckpt_path} does not exist; ckpt_path=last resumes from this run's own state"
        )
    for name in ("student.json", "teacher.json", "backbone.safetensors"):
        (folder / name).unlink(missing_ok=True)
