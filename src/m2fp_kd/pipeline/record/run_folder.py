"""Tie a run folder to its settings, photos and teacher: it is resumed only if all of them are the same."""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities import rank_zero_only
from yaml import YAMLError

from m2fp_kd.config import differences
from m2fp_kd.runtime.files import atomic_path

log = logging.getLogger(__name__)

SETTINGS, SOURCES, LOCK = "config.yaml", "sources.json", ".lock"

FINISHED = ("student.json", "teacher.json", "backbone.safetensors")

RESULTS = ("artefacts", "pictures", "report.json", "report.html")
"""Files and folders that a run writes when its network is finished."""


@contextmanager
def locked(cfg: DictConfig) -> Iterator[None]:
    """Hold ``cfg.run_dir`` for this process; the system releases it when the process ends, however it ends.

    The other processes of a distributed training belong to the first one and take no lock.

    Raises:
        ValueError: another process holds the folder.
    """
    if rank_zero_only.rank:  # type: ignore[attr-defined]
        yield
        return
    folder = Path(cfg.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"another process works in {folder}; wait for its end, or choose another name=NAME") from None
    try:
        yield
    finally:
        lock.release()


def claim(cfg: DictConfig) -> None:
    """Check that ``cfg.run_dir`` is free, or belongs to a run with these settings; write nothing.

    Raises:
        ValueError: the folder has results of other settings; the message lists the differences.
    """
    folder = Path(cfg.run_dir)
    if cfg.ckpt_path == "last":
        _require_same_settings(folder, cfg)


@rank_zero_only
def claim_sources(cfg: DictConfig, claimed: dict[str, str | None]) -> None:
    """Begin or resume the run: record its settings and the SHA-256 of its photos, teacher and starting weights.

    The first process of a distributed training does it for all.

    Unless ``ckpt_path=last`` resumes the run, remove the results of an earlier one first.

    Raises:
        ValueError: the folder has results of other photos, or of another teacher or start.
    """
    folder = Path(cfg.run_dir)
    if cfg.ckpt_path == "last":
        _require_same_sources(folder, claimed)
    else:
        _clear(folder, cfg)
    with atomic_path(folder / SETTINGS) as temporary:
        OmegaConf.save(cfg, temporary, resolve=True)
    _write_sources(folder, claimed)


def sources(cfg: DictConfig) -> dict[str, str | None]:
    """Return the hashes that `claim_sources` wrote into the run's folder."""
    return _read_sources(Path(cfg.run_dir))


def expect_mended_data(cfg: DictConfig) -> None:
    """Let an unfinished run continue with changed photos, because a broken file stopped it and must be mended."""
    folder = Path(cfg.run_dir)
    if "data" in (known := _read_sources(folder)) and not _finished(folder):
        _write_sources(folder, known | {"data": None})


def _has_results(folder: Path) -> bool:
    """Whether a run in this folder has begun: a folder without states, networks and artefacts is free."""
    return _finished(folder) or any(any(folder.glob(pattern)) for pattern in ("checkpoints/*.ckpt", "artefacts/*"))


def _finished(folder: Path) -> bool:
    return any((folder / name).is_file() for name in FINISHED)


def _require_same_settings(folder: Path, cfg: DictConfig) -> None:
    if not (folder / SETTINGS).is_file() or not _has_results(folder):
        return
    if changed := differences(_read_settings(folder / SETTINGS), cfg):
        shown = "; ".join(changed[:5]) + ("; …" if len(changed) > 5 else "")
        raise ValueError(f"{folder} belongs to other settings ({shown}); {_other_settings()}")


def _other_settings() -> str:
    """Return what a user can do about a folder of other settings; the jobs of a sweep must not erase each other."""
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return "leave out name=NAME, which gives each job of a sweep a folder of its own"
    return (
        "choose another name=NAME, start over with ckpt_path=null, or resume a checkpoint with its optimiser and "
        "learning rate by ckpt_path=FILE"
    )


def _require_same_sources(folder: Path, claimed: dict[str, str | None]) -> None:
    before = _read_sources(folder)
    if not before or not _has_results(folder):
        return
    changed = [name for name in claimed if before.get(name) != claimed[name]]
    if "data" in changed and "data" in before and before["data"] is None and claimed["data"] is not None:
        log.warning("a broken file stopped this run; it continues with the photos and labels as they are now")
        changed.remove("data")
    if changed:
        state = folder / "checkpoints" / "last.ckpt"
        onward = "" if _finished(folder) else f"continue from its state with ckpt_path={state}, "
        raise ValueError(
            f"{folder} belongs to another {' and another '.join(changed)}; {onward}start over with ckpt_path=null, "
            "or choose another name=NAME"
        )


def _read_sources(folder: Path) -> dict[str, str | None]:
    path = folder / SOURCES
    try:
        found = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError as error:
        raise _broken(path, error) from error
    if not isinstance(found, dict):
        raise _broken(path, "no table of hashes")
    return found


def _read_settings(path: Path) -> DictConfig:
    try:
        found = OmegaConf.load(path)
    except (YAMLError, OSError, ValueError) as error:
        raise _broken(path, error) from error
    if not isinstance(found, DictConfig):
        raise _broken(path, "no table of settings")
    return found


def _broken(path: Path, reason: object) -> ValueError:
    why = " ".join(str(reason).split())  # YAML's reasons have several lines
    return ValueError(
        f"{path} is broken ({why}), so that it is not known what was trained here; restore it, start over with "
        "ckpt_path=null, or choose another name=NAME"
    )


def _write_sources(folder: Path, hashes: dict[str, str | None]) -> None:
    with atomic_path(folder / SOURCES) as temporary:
        temporary.write_text(json.dumps(hashes, indent=1))


def _clear(folder: Path, cfg: DictConfig) -> None:
    """Remove what an earlier run finished, so that it is not mistaken for a result of this run."""
    if cfg.stage == "compress":  # it trains nothing, and the student.json there may belong to another run
        return
    outdated = [*FINISHED, *RESULTS, *(["checkpoints"] if cfg.ckpt_path is None else [])]
    for path in map(folder.joinpath, outdated):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
