"""Compress a student as the configuration says: first training steps with fine-tuning, then artefacts."""

import copy
import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.progress import track
from torch import nn

from m2fp_kd.checkpoints.network import Network, load_network, save_network
from m2fp_kd.compress.chain import CompressionResult, make_artefacts, torch_parse
from m2fp_kd.compress.export.onnx import Export
from m2fp_kd.compress.options import CheckSettings, OptionError, build, check_settings
from m2fp_kd.compress.parity import compare
from m2fp_kd.compress.photos import training_canvases
from m2fp_kd.compress.prune.step import Prune
from m2fp_kd.compress.source import Source
from m2fp_kd.compress.steps import ArtefactStep, OrderError, TrainingStep, check_order
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.distill.training.fit import new_trainer
from m2fp_kd.evaluation.speed.cpu import describe_cpu
from m2fp_kd.evaluation.speed.expected_speedup import expected_speedup
from m2fp_kd.models.parameters import count_parameters
from m2fp_kd.pipeline.assemble.fine_tune import FineTuner
from m2fp_kd.pipeline.assemble.teacher import Teacher
from m2fp_kd.pipeline.record.lineage import saved_card
from m2fp_kd.pipeline.record.run_folder import FINISHED, RESULTS, SOURCES
from m2fp_kd.pipeline.record.teacher_parts import gate_photos
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.checks import Hop

log = logging.getLogger(__name__)

ORIGINAL = Export(name="original")
"""Export of the student before training steps, to compare with."""

TAKEN = {"checkpoints", "metrics", "wandb", *(Path(name).stem for name in (*FINISHED, *RESULTS, SOURCES))}
"""Names of other files and folders of a run, which no training step may have."""


@dataclass(frozen=True)
class CompressionRecipe:
    """The checked steps of ``cfg.compress``.

    Attributes:
        training: steps that train the network: prune, qat.
        artefacts: steps that write files: export, quantise, convert.
        checks: how every hop is checked.
    """

    training: list[TrainingStep]
    artefacts: list[ArtefactStep]
    checks: CheckSettings

    def check_training(self, network: nn.Module, size: int) -> None:
        """Check that pruning can reach its goal, before anything is trained.

        Args:
            network: network, which is not changed.
            size: longest side of its photos in pixels.

        Raises:
            PruneError: the goal is out of reach.
        """
        for step in self.training:
            if isinstance(step, Prune):
                step.check(network, size)

    def discard_results(self, run_dir: str | Path) -> None:
        """Remove what the training steps made of an earlier student: networks and the states of their fine-tuning."""
        for step in self.training:
            shutil.rmtree(Path(run_dir) / step.name, ignore_errors=True)
            for file in (f"{step.name}.json", f"{step.name}.safetensors"):
                (Path(run_dir) / file).unlink(missing_ok=True)

    @property
    def first_artefacts(self) -> list[ArtefactStep]:
        """Steps that run on the student before any training step."""
        return [ORIGINAL] if self.training else self.artefacts


def read_recipe(cfg: DictConfig) -> CompressionRecipe:
    """Build and check the steps of ``cfg.compress``; log the speed to expect from INT8 on this CPU.

    Raises:
        OrderError: the steps are in an impossible order, or a step has no gate.
        OptionError: an option has a wrong value.
    """
    options: Any = OmegaConf.to_container(cfg.compress, resolve=True)
    checks = check_settings(options)
    steps: dict[str, Any] = {
        name: build(f"compress.steps.{name}", partial(instantiate, step, _convert_="all"))
        for name, step in cfg.compress.steps.items()
    }
    check_order(steps, checks.gates)
    training = {key: step for key, step in steps.items() if step.kind in ("prune", "qat")}
    artefacts = {key: step for key, step in steps.items() if key not in training}
    _check_names(training, TAKEN)
    _check_names(artefacts, {ORIGINAL.name} if training else ())
    if training and _distributed(cfg):
        raise OrderError(
            "pruning and quantisation-aware training run on one device: train with compress=none, then "
            "stage=compress student.checkpoint=RUN/student.json with trainer=cpu or trainer=gpu"
        )
    if any(step.kind == "quantise" for step in steps.values()):
        for line in expected_speedup(describe_cpu()):
            log.info("this CPU: %s", line)
    return CompressionRecipe([*training.values()], [*artefacts.values()], checks)


def _check_names(steps: Mapping[str, TrainingStep | ArtefactStep], taken: Collection[str]) -> None:
    for key, step in steps.items():
        if step.name in taken:
            raise OptionError(f"compress.steps.{key}.name={step.name} must be another name: this one is taken")


def _distributed(cfg: DictConfig) -> bool:
    """Whether the trainer is one for several processes."""
    return "ddp" in str(cfg.trainer.get("strategy")) or new_trainer(cfg, logger=False).world_size > 1


def compress(
    cfg: DictConfig, recipe: CompressionRecipe, datamodule: ParsingDataModule, teacher: Teacher, network: Network
) -> tuple[CompressionResult, Network]:
    """Apply a compression recipe to a saved student and check every hop.

    A training step that an earlier call has finished is loaded from ``RUN/NAME.json``; `discard_results` prevents it.

    Args:
        cfg: configuration of the run.
        recipe: steps to apply.
        datamodule: photos of the run.
        teacher: teacher that fine-tuning learns from.
        network: student.

    Returns:
        All artefacts and hops, and the network after the last training step, which is the one to ship.
    """

    def made(network: Network, card: Card, steps: list[ArtefactStep], hops: Sequence[Hop] = ()) -> CompressionResult:
        canvases = training_canvases(datamodule)
        source = Source(network.module.eval(), card, canvases, photos, parity=tuple(hops), truth=truth)
        return make_artefacts(source, Path(cfg.run_dir) / "artefacts", steps, recipe.checks)

    photos, truth = gate_photos(datamodule, teacher)
    card = saved_card(datamodule, network)
    result = made(network, card, recipe.first_artefacts)
    if not recipe.training:
        return result, network
    hops: list[Hop] = []
    before, tuner = "PyTorch", FineTuner(cfg, datamodule, teacher)
    for step in recipe.training:
        after = _trained(Path(cfg.run_dir), step, network, tuner)
        hop = f"{before} -> {step.name}"
        parses = torch_parse(network.module, card), torch_parse(after.module, card)
        gate = recipe.checks.gates[step.kind]
        parity = compare(hop, *parses, track(photos, hop), datamodule.labels, gate, truth)
        hops.append(parity)
        parents = card.parents | {step.name: after.sha256}
        card, network, before = replace(card, parents=parents), after, step.name
    result += CompressionResult({}, hops)
    return result + made(network, card, recipe.artefacts, hops), network


def _trained(run_dir: Path, step: TrainingStep, network: Network, tuner: FineTuner) -> Network:
    """Run a training step, or load its saved result, and return the network."""
    saved = run_dir / f"{step.name}.json"
    if not saved.is_file():
        module, architecture, score = step(copy.deepcopy(network.module), network.architecture, tuner)
        lineage = replace(
            network.lineage,
            parameters=count_parameters(module),
            val_miou=score,
            training_steps=(*network.lineage.training_steps, step.name),
        )
        save_network(saved, module, network.labels, network.geometry, architecture, lineage)
    return load_network(saved)
