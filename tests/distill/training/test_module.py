"""Training steps with every composed term, on the sample's scenes, with both students."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn
from torch.utils.data import DataLoader

from m2fp_kd.checkpoints.network import CheckpointError, without_downloads
from m2fp_kd.config import register_resolvers
from m2fp_kd.distill.losses.ce import Ce
from m2fp_kd.distill.objective import Objective
from m2fp_kd.distill.training.module import Distillation
from m2fp_kd.labels import PartSets, find_part_sets, load_label_set
from m2fp_kd.models.outputs import StudentOutput
from m2fp_kd.pipeline.assemble.module import build_module
from m2fp_kd.pipeline.assemble.student import new_student, require_network
from m2fp_kd.pipeline.assemble.teacher import load_teacher
from m2fp_kd.runtime.geometry import Geometry, Placement
from tests.distill.tiny import TINY, tiny_m2fp

ROOT = Path(__file__).parents[3]
Composer = Callable[..., DictConfig]
LIVE_TERMS = ("feature", "cross_image", "query")
CACHED_TERMS = ("kl", "cwd", "dist", "boundary")


@pytest.fixture
def composed(teacher_file: Path, tmp_path: Path) -> Composer:
    """Compose the configuration with small settings; ``live`` and ``cached`` select the tiny teacher."""
    register_resolvers()
    teachers = {"live": ["teacher=live"], "cached": ["teacher=cached", f"teacher.cache={tmp_path}"]}

    def compose_small(*overrides: str) -> DictConfig:
        chosen = [teachers.get(override, [override]) for override in overrides]
        if set(teachers) & set(overrides):
            chosen.append([f"teacher.checkpoint={teacher_file}"])
        small = [
            f"data.root={ROOT / 'data/sample'}", "data.size=64", "data.batch_size=2", "data.module.limit=2",
            "backbone=mobilenetv3_small", "run_dir=unused", f"teacher.cache={ROOT / 'data/sample/teacher'}",
        ]  # fmt: skip
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("config", overrides=[*small, *(item for items in chosen for item in items)])

    return compose_small


def build(cfg: DictConfig) -> tuple[Distillation, dict[str, torch.Tensor]]:
    """Return the training module and the first batch."""
    torch.manual_seed(0)
    datamodule = instantiate(cfg.data.module)
    teacher = load_teacher(cfg, datamodule)
    network, _, _ = new_student(cfg, datamodule, teacher)
    terms = {**instantiate(cfg.distill.terms), **instantiate(cfg.student.terms)}
    module = build_module(cfg, network, terms, datamodule, teacher.source)
    datamodule.setup("fit")
    return module.train(), next(iter(datamodule.train_dataloader()))


def steps(module: Distillation, batch: dict[str, torch.Tensor], count: int) -> list[dict[str, float]]:
    """Train and return the terms before every step; mask losses sample the same points in each."""
    optimizer, found = torch.optim.AdamW(module.parameters(), 2e-3), []
    for _ in range(count):
        torch.manual_seed(0)
        loss, terms = module.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append({name: value.item() for name, value in terms.items()})
    return found


def learn(module: Distillation, batch: dict[str, torch.Tensor], term: str) -> list[float]:
    """Train six steps on one term and return its values."""
    module.objective.weights |= {name: 0.0 for name in module.objective.weights if name != term}
    return [found[term] for found in steps(module, batch, 6)]


STUDENTS = {
    "fpn": ["student=fpn", "student.network.width=16"],
    "m2fp": ["student=m2fp", "student.network.width=16", "student.network.queries=6", "student.network.layers=1"],
}


POSSIBLE = [
    (term, student)
    for term in (*CACHED_TERMS, *LIVE_TERMS)
    for student in STUDENTS
    if (term, student) != ("query", "fpn")
]


@pytest.mark.parametrize(("term", "student"), POSSIBLE)
def test_a_single_term_decreases(composed: Composer, term: str, student: str) -> None:
    teacher = "live" if term in LIVE_TERMS else "teacher=sample"
    overrides = [f"distill/term@distill.terms=[{term}]", f"distill.terms.{term}.weight=1", "distill.anneal=null"]
    module, batch = build(composed(teacher, *overrides, *STUDENTS[student]))
    values = learn(module, batch, term)
    assert values[-1] < values[0]


@pytest.mark.parametrize("student", STUDENTS)
@pytest.mark.parametrize(("recipe", "teacher"), [("best", "teacher=sample"), ("best", "live"), ("features", "live")])
def test_a_recipe_trains(composed: Composer, recipe: str, teacher: str, student: str) -> None:
    module, batch = build(composed(f"distill={recipe}", teacher, *STUDENTS[student]))
    first, *_, last = steps(module, batch, 6)
    weights = module.objective.weights
    assert set(first) == set(weights)
    totals = [sum(weights[name] * found[name] for name in weights) for found in (first, last)]
    assert totals[1] < totals[0]
    assert all(parameter.grad is not None for parameter in module.objective.parameters())


def test_all_terms_together_under_bfloat16(composed: Composer) -> None:
    terms = ",".join(["ce", "jaccard", "pixel", *CACHED_TERMS, *LIVE_TERMS])
    certainty = [f"distill.terms.{name}.term.confidence=entropy" for name in ("kl", "boundary")]
    objective = [f"distill/term@distill.terms=[{terms}]", "distill.alpha=0.7", *certainty]
    module, batch = build(composed("live", *objective, *STUDENTS["m2fp"]))
    with torch.autocast("cpu", torch.bfloat16):
        loss, values = module.loss(batch)
    loss.backward()
    assert len(values) == 11 and all(value.dtype == torch.float32 and value.isfinite() for value in values.values())
    gradients = [parameter.grad for parameter in module.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_a_projection_trains_with_the_student_and_is_not_saved_with_it(composed: Composer) -> None:
    module, batch = build(composed("live", "distill=features", *STUDENTS["fpn"]))
    before = {name: weight.clone() for name, weight in module.objective.named_parameters()}
    steps(module, batch, 1)
    assert before["terms.feature.projection.weight"].shape == (32, 16, 1, 1)
    assert all(not torch.equal(weight, before[name]) for name, weight in module.objective.named_parameters())
    assert not any("projection" in name for name in module.student.state_dict())


def test_the_teacher_is_annealed_during_training(composed: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = composed("distill=best", "distill.anneal=0.5", "teacher=sample", "data.batch_size=1", *STUDENTS["fpn"])
    module, batch = build(cfg)
    loaders = DataLoader([batch] * 4, batch_size=None)
    monkeypatch.setattr(Distillation, "validation_step", None)
    trainer = pl.Trainer(max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    losses: list[tuple[float, dict[str, torch.Tensor]]] = []
    objective = module.objective.forward

    def watched(*arguments: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss, terms = objective(*arguments)
        losses.append((loss.item(), terms))
        return loss, terms

    monkeypatch.setattr(module.objective, "forward", watched)
    trainer.fit(module, loaders)
    for (loss, terms), left in zip(losses, (1, 0.5, 0, 0), strict=True):  # after 0, 1, 2 and 3 of 4 steps
        assert ("dist" in terms) == (left > 0)
        faded = left * terms["dist"] if left else 0.0
        assert loss == pytest.approx(float(terms["ce"] + 0.5 * terms["jaccard"] + faded), rel=1e-5)


def test_a_cache_lacks_the_fields_of_terms_on_queries_and_features(composed: Composer) -> None:
    with pytest.raises(ValueError, match=r"'feature' needs \['features'\] from the teacher.*use teacher=live"):
        build(composed("teacher=sample", "distill=features"))
    with pytest.raises(ValueError, match=r"'query' needs \['student\.queries'\].*use student=m2fp"):
        build(composed("live", "distill/term@distill.terms=[ce,query]"))


HEAD = ["student=m2fp", "student.head_from_teacher=true"]


def test_a_head_from_the_teacher_is_paired_one_to_one(composed: Composer, teacher_file: Path) -> None:
    cfg = composed("live", *HEAD, "distill/term@distill.terms=[ce,query]")
    module, batch = build(cfg)
    decoder = module.student.transformer_decoder
    assert decoder.query_features.shape == (TINY["queries"], TINY["width"])
    assert decoder.layers[0].cross_attention.heads == TINY["heads"]
    assert torch.equal(decoder.query_features, tiny_m2fp().transformer_decoder.query_features)
    assert module.objective.terms["query"].settings[0] is True
    values = learn(module, batch, "query")
    assert values[-1] < values[0]


def test_a_head_from_the_teacher_has_the_teachers_width(composed: Composer) -> None:
    with pytest.raises(
        ValueError, match=r"the teacher's width=32, but student\.network sets width=64; remove these settings"
    ):
        build(composed("live", *HEAD, "student.network.width=64"))
    with pytest.raises(ValueError, match=r"needs its weights: add teacher=live teacher\.checkpoint=FILE"):
        build(composed("teacher=sample", *HEAD))
    with pytest.raises(ValueError, match="add student=m2fp"):
        build(composed("live", "student.head_from_teacher=true"))


def test_a_student_with_the_teachers_head_is_recognised(composed: Composer) -> None:
    cfg = composed("live", *HEAD)
    datamodule = instantiate(cfg.data.module)
    _, architecture, _ = new_student(cfg, datamodule, load_teacher(cfg, datamodule))
    require_network(cfg, without_downloads(architecture))
    with pytest.raises(CheckpointError, match="holds another network"):
        require_network(composed("live", "student=m2fp"), without_downloads(architecture))


def test_views_are_averaged_for_the_cache_only(composed: Composer) -> None:
    views = ["teacher.tta.flip=true", "teacher.tta.scales=[1,1.5]"]
    cfg = composed("cached", *views)
    datamodule = instantiate(cfg.data.module)
    datamodule.val = datamodule.val[:1]
    teacher = load_teacher(cfg, datamodule)
    assert teacher.whole is not None and teacher.whole.tta.views == 4
    assert teacher.card.tta == {"flip": True, "scales": (1.0, 1.5)}
    single = composed("cached")
    other = instantiate(single.data.module)
    other.val = other.val[:1]
    load_teacher(single, other)
    assert other.cache.path != datamodule.cache.path and other.cache.names == datamodule.cache.names
    with pytest.raises(ValueError, match=r"use teacher=cached teacher\.checkpoint=FILE"):
        load_teacher(composed("live", *views), datamodule)
    with pytest.raises(ValueError, match=r"use teacher=cached teacher\.checkpoint=FILE"):
        load_teacher(composed("teacher=sample", *views), datamodule)


class Constant(nn.Module):
    """A network that gives every pixel the same part."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.eye(20)[load_label_set("cihp").parts.index(part)])

    def forward(self, images: torch.Tensor) -> StudentOutput:
        return StudentOutput(self.logits[None, :, None, None].expand(len(images), 20, 8, 8))


def test_every_source_is_validated_in_its_own_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    cihp, pascal = load_label_set("cihp"), load_label_set("pascal_person_part")
    tables = {"home": PartSets.same(cihp), "limbs": find_part_sets(pascal, cihp)}
    objective = Objective({"ce": Ce(cihp)}, {"ce": 1.0})
    module = Distillation(Constant("upper-clothes"), objective, cihp, Geometry(32), None, None, part_sets=tables)
    torso, arm, leg = (np.full((32, 8), pascal.parts.index(name)) for name in ("torso", "upper-arm", "upper-leg"))
    batch = {
        "images": torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
        "placements": [Placement((32, 32), (32, 32), (32, 32))] * 2,
        "truth": [np.hstack([torso, torso, arm, leg]).astype(np.uint8), np.full((32, 32), 5, np.uint8)],
        "sources": ["limbs", "home"],
    }
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value}))
    for _ in range(2):  # the second epoch starts from nothing
        module.validation_step(batch, 0)
        module.on_validation_epoch_end()
        assert logged["val/IoU/limbs/torso"] == pytest.approx(2 / 3), "a leg is an invented torso"
        assert logged["val/IoU/limbs/upper-leg"] == 0 and "val/IoU/limbs/upper-arm" not in logged
        assert logged["val/mIoU/limbs"] == pytest.approx(1 / 3) and logged["val/mIoU/home"] == 1
        assert logged["val/mIoU"] == pytest.approx(2 / 3)


def test_depthwise_convolutions_have_fast_gradients_on_a_cpu(composed: Composer) -> None:
    module, batch = build(composed("teacher=none", "distill=labels"))
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            conv.register_forward_hook(lambda conv, _, output: seen[conv.groups > 1].add(output.grad_fn.name()))
    with torch.autocast("cpu", torch.bfloat16):
        module(batch["images"])
    assert seen == {True: {"_DepthwiseBackward"}, False: {"ConvolutionBackward0"}}
