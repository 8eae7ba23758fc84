"""``stage=compress``: compress a network that was trained before."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from m2fp_kd.checkpoints.network import Network, load_network
from m2fp_kd.compress.export.capabilities import kind_of
from m2fp_kd.compress.steps import check_possible
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.pipeline.assemble.data import load_data
from m2fp_kd.pipeline.assemble.part_models import NETWORK_FILES, load_m2fp
from m2fp_kd.pipeline.assemble.student import require_labels_of_data, require_network
from m2fp_kd.pipeline.assemble.teacher import load_teacher
from m2fp_kd.pipeline.record.finish import finish
from m2fp_kd.pipeline.record.lineage import saved_card, teacher_lineage
from m2fp_kd.pipeline.record.run_folder import claim_sources
from m2fp_kd.pipeline.stages.shrink import compress, read_recipe
from m2fp_kd.runtime.provenance import Lineage


def compress_saved(cfg: DictConfig) -> dict[str, float]:
    """Apply the compression recipe of ``cfg.compress`` to ``student.checkpoint``, and write the report.

    The checkpoint is the student.json or teacher.json of a run, or a published M2FP checkpoint. An M2FP is exported,
    pruned and quantised like a student.

    Raises:
        ParityError: a gate failed; everything was saved before.
        OrderError: the steps are in an impossible order; nothing was done.
        CheckpointError: the network's label set has other parts than the data's, or the recipe trains and the network
            is not the configured student.
        PruneError: a goal of pruning is out of reach.
        Unsupported: a step does not support this kind of network.
    """
    recipe = read_recipe(cfg)
    datamodule = load_data(cfg)
    network = _load(cfg, datamodule)
    if network.geometry != datamodule.geometry:
        raise ValueError(
            f"{cfg.student.checkpoint} was trained at {network.geometry.size} pixels, not {datamodule.geometry.size}; "
            f"add data.size={network.geometry.size}"
        )
    kind = kind_of(network.module, saved_card(datamodule, network))
    check_possible(recipe.artefacts, kind, network.geometry.fixed, network.labels)
    if recipe.training and not isinstance(network.module, M2FP):
        require_network(cfg, network.architecture)  # the losses of fine-tuning come from the configuration
    recipe.check_training(network.module, network.geometry.size)
    teacher = load_teacher(cfg, datamodule)  # after all checks, since filling a cache takes long
    claim_sources(cfg, {"data": datamodule.sha256(), **teacher.hashes, "student.checkpoint": network.sha256})
    if cfg.ckpt_path != "last":
        recipe.discard_results(cfg.run_dir)
    result, last = compress(cfg, recipe, datamodule, teacher, network)
    return finish(cfg, datamodule, teacher, last.lineage, result)


def _load(cfg: DictConfig, datamodule: ParsingDataModule) -> Network:
    path = Path(cfg.student.checkpoint)
    if path.suffix in NETWORK_FILES:
        network = load_network(path)
        require_labels_of_data(cfg, network.labels, datamodule.labels)
        if isinstance(network.module, M2FP):
            network.lineage = teacher_lineage(network.module, network.lineage, network.sha256)
        return network
    module, card = load_m2fp(path, cfg, datamodule.labels)
    architecture: Any = OmegaConf.to_container(cfg.teacher.network, resolve=True)
    sha256 = str(card.sha256)
    lineage = teacher_lineage(module, Lineage(name=card.name, licence=card.licence), sha256)
    return Network(module, datamodule.labels, datamodule.geometry, architecture, lineage, sha256)
