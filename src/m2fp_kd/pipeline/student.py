"""The student: distilled, saved, compressed, scored, reported."""

import logging
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from m2fp_kd.checkpoints.network import CheckpointError, load_network, save_network
from m2fp_kd.compress.callback import CompressAfterFit
from m2fp_kd.compress.compress import compress_student
from m2fp_kd.compress.parity import Gate, raise_failed
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.distill.fit import fit, load_best
from m2fp_kd.evaluation.report import summary_table, write_report
from m2fp_kd.pipeline.report import build_report
from m2fp_kd.pipeline.teacher import Teacher, build_module, load_teacher

log = logging.getLogger(__name__)
