"""Build the data of a run, with every photo and label map checked."""

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from m2fp_kd.data.datamodule import ParsingDataModule

KNOWN = ".checked.json"
"""File beside the run folders with the findings of earlier checks, by the files' content."""


def load_data(cfg: DictConfig) -> ParsingDataModule:
    """Build ``cfg.data.module`` and check its files.

    Raises:
        LabelError: photos or label maps cannot be used.
    """
    datamodule: ParsingDataModule = instantiate(cfg.data.module)
    check_files(cfg, datamodule)
    return datamodule


def check_files(cfg: DictConfig, datamodule: ParsingDataModule) -> None:
    """Check all photos and label maps of a run; each content is checked once for all runs in the same folder.

    Raises:
        LabelError: photos or label maps cannot be used.
    """
    datamodule.check_files(Path(cfg.run_dir).parent / KNOWN)
