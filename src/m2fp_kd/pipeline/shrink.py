"""Compression as the configuration asks for it: training steps with their fine-tuning, then artefacts."""

import copy
import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.progress import track
from torch import nn

from m2fp_kd.checkpoints.network import Network, load_network, save_network
from m2fp_kd.compress.artefact_steps import Export
from m2fp_kd.compress.chain import Checks, CompressionResult, make_artefacts, parity_facts, torch_parse
from m2fp_kd.compress.parity import Gate, Parity, compare
from m2fp_kd.compress.photos import SpreadPhotos, training_canvases
from m2fp_kd.compress.steps import ArtefactStep, OrderError, Source, check_order
from m2fp_kd.compress.training_steps import TrainingStep
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.evaluation.cpu import describe_cpu
from m2fp_kd.evaluation.outlook import outlook
from m2fp_kd.pipeline.fine_tune import FineTuner
from m2fp_kd.pipeline.lineage import saved_card
from m2fp_kd.pipeline.teacher import Teacher
from m2fp_kd.runtime.artefact import Card

log = logging.getLogger(__name__)

ORIGINAL = Export(name="original")
"""Where training steps follow, the student as it was before them, to compare with."""


@dataclass(frozen=True)
class Recipe:
    """The steps of ``cfg.compress``, checked.

    Attributes:
        training: prune, qat.
        artefacts: export, quantise.
        checks: how every hop is checked.
    """

    training: list[TrainingStep]
    artefacts: list[ArtefactStep]
    checks: Checks

    @property
    def first_artefacts(self) -> list[ArtefactStep]:
        """What is made of the student as training left it."""
        return [ORIGINAL] if self.training else self.artefacts


def read_recipe(cfg: DictConfig) -> Recipe:
    """Build and check the steps of ``cfg.compress``; say what is to be expected of INT8 on this CPU.

    Raises:
        OrderError: the steps are in an order that cannot work, or unverified.
    """
    gates = {name: Gate(**limits) for name, limits in cfg.compress.gates.items()}
    steps: dict[str, Any] = {name: instantiate(step) for name, step in cfg.compress.steps.items()}
    check_order(steps, gates)
    if any(step.kind in ("prune", "qat") for step in steps.values()) and "ddp" in str(cfg.trainer.get("strategy")):
        raise OrderError(
            "pruning and quantisation-aware training run on one device: train with compress=none, then "
            "stage=compress student.checkpoint=RUN/student.json with trainer=cpu or trainer=gpu"
        )
    if any(step.kind == "quantise" for step in steps.values()):
        for line in outlook(describe_cpu()):
            log.info("this CPU: %s", line)
    is_training = {name: step.kind in ("prune", "qat") for name, step in steps.items()}
    return Recipe(
        [step for name, step in steps.items() if is_training[name]],
        [step for name, step in steps.items() if not is_training[name]],
        Checks(gates, cfg.compress.threads, cfg.compress.arithmetic),
    )


def compress(
    cfg: DictConfig, recipe: Recipe, datamodule: ParsingDataModule, teacher: Teacher, network: Network
) -> tuple[CompressionResult, Network]:
    """Take a saved student through the whole recipe; return what came of it and the network that is shipped."""
    card = saved_card(datamodule, network)
    result = artefacts(cfg, recipe.first_artefacts, recipe, datamodule, network.module, card)
    if recipe.training:
        later, network = shrink(cfg, recipe, datamodule, teacher, network)
        result += later
    return result, network


def shrink(
    cfg: DictConfig,
    recipe: Recipe,
    datamodule: ParsingDataModule,
    teacher: Teacher,
    network: Network,
) -> tuple[CompressionResult, Network]:
    """Take a saved student through the recipe's training steps, then make its artefacts; every hop is checked.

    A step that an earlier call of the same run has finished is taken from ``RUN/NAME.json``.

    Args:
        cfg: of the run.
        recipe: its steps.
        datamodule: its photos.
        teacher: what fine-tuning learns from.
        network: the student.

    Returns:
        What came of it, and the network after the last training step.
    """
    card = saved_card(datamodule, network)
    photos, tuner = SpreadPhotos(datamodule.val, datamodule.labels), FineTuner(cfg, datamodule, teacher)
    parities: list[Parity] = []
    for step in recipe.training:
        after = _trained(cfg, step, network, tuner)
        hop = f"PyTorch -> {step.name}" if not parities else f"{recipe.training[0].name} -> {step.name}"
        parses = torch_parse(network.module, card), torch_parse(after.module, card)
        parity = compare(hop, *parses, track(photos, hop), datamodule.labels, recipe.checks.gates[step.kind])
        parities.append(parity)
        card = replace(
            card, parity=card.parity | parity_facts(parity), parents=card.parents | {step.name: after.sha256}
        )
        network = after
    made = artefacts(cfg, recipe.artefacts, recipe, datamodule, network.module, card)
    return CompressionResult({}, parities) + made, network


def artefacts(
    cfg: DictConfig,
    steps: list[ArtefactStep],
    recipe: Recipe,
    datamodule: ParsingDataModule,
    student: nn.Module,
    card: Card,
) -> CompressionResult:
    """Make the artefacts of some of a recipe's steps."""
    photos = SpreadPhotos(datamodule.val, datamodule.labels)
    source = Source(student.eval(), card, training_canvases(datamodule), photos)
    return make_artefacts(source, Path(cfg.run_dir) / "artefacts", steps, recipe.checks)


def _trained(cfg: DictConfig, step: TrainingStep, network: Network, tuner: FineTuner) -> Network:
    """The network after a training step, saved."""
    saved = Path(cfg.run_dir) / f"{step.name}.json"
    if not (saved.is_file() and cfg.ckpt_path == "last"):
        if cfg.ckpt_path != "last":
            shutil.rmtree(saved.with_suffix(""), ignore_errors=True)  # an earlier run's fine-tuning
        module, recipe, score = step(copy.deepcopy(network.module), network.recipe, tuner)
        lineage = network.lineage | {
            "parameters": sum(weight.numel() for weight in module.parameters()),
            "val/mIoU": score,
            "training_steps": [*network.lineage.get("training_steps", []), step.name],
        }
        save_network(saved, module, network.labels, network.geometry, recipe, lineage)
    return load_network(saved)
