"""One epoch on the sample, in one process or as one of two; both have four photos in a batch together."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from m2fp_kd.config import register_resolvers
from m2fp_kd.distill.training.fit import fit
from m2fp_kd.distill.training.processes import ProcessLost
from m2fp_kd.pipeline.assemble.module import build_module
from m2fp_kd.pipeline.assemble.student import new_student
from m2fp_kd.pipeline.assemble.teacher import load_teacher

ROOT = Path(__file__).parents[3]

SMALL = [
    f"data.root={ROOT / 'data/sample'}", "data.size=64", "backbone=mobilenetv3_small", "student.network.width=16",
    "trainer=ddp", "trainer.precision=32-true", "trainer.max_epochs=1", "trainer.log_every_n_steps=1", "logger=csv",
    "+trainer.enable_progress_bar=false", "trainer.num_sanity_val_steps=0", "optimizer._target_=torch.optim.SGD",
    "lr=0.05",
]  # fmt: skip

TRAININGS = {
    "fpn": [
        "data.module.limit=12", "data.label_fraction=0.5", f"teacher.cache={ROOT / 'data/sample/teacher'}",
        "distill/term@distill.terms=[ce,jaccard,kl,cwd,dist,boundary]", "distill.alpha=0.7", "ema=0.9",
    ],
    "m2fp": [
        "data.module.limit=8", "student=m2fp", "student.network.queries=6", "student.network.layers=1",
        "distill/term@distill.terms=[ce,query,feature]", "distill.terms.query.weight=1",
        "distill.terms.feature.weight=1",
    ],
    "mix": [
        "data=mix", "data/source@data.sources=[cihp,synthetic]", f"data.sources.cihp.root={ROOT / 'data/sample'}",
        "data.sources.synthetic.splits.length=4", "data.sources.synthetic.splits.val_length=3",
        "data.module.epoch_length=8", "teacher=none", "distill=labels_jaccard",
    ],
}  # fmt: skip
"""Overrides by name: cached targets with unlabelled photos, a live teacher, several data sets."""

FROM_SHARDS = {"shards": ["data=shards", "teacher=none", "distill=labels_jaccard"]}
"""Overrides of a training whose shards are named by further overrides."""


def train(
    name: str, folder: Path, teacher: str, *overrides: str, callbacks: Sequence[pl.Callback] = (), frozen: bool = True
) -> pl.Trainer:
    """Train in this process.

    Args:
        name: a key of `TRAININGS` or `FROM_SHARDS`.
        folder: folder of the run folder.
        teacher: file of the live teacher.
        overrides: further settings.
        callbacks: further callbacks.
        frozen: whether BatchNorms keep their statistics, which otherwise are those of a process's own photos.
    """
    register_resolvers()
    live = ["teacher=live", f"teacher.checkpoint={teacher}"] if name == "m2fp" else []
    chosen = [*SMALL, *(TRAININGS | FROM_SHARDS)[name], *live, f"run_dir={folder / name}", *overrides]
    if name == "mix":
        chosen.remove(SMALL[0])
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg: Any = compose("config", overrides=chosen)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = instantiate(cfg.data.module)
    loaded = load_teacher(cfg, data)
    network, _, _ = new_student(cfg, data, loaded)
    terms = {**instantiate(cfg.distill.terms), **instantiate(cfg.student.terms)}
    module = build_module(cfg, network, terms, data, loaded.source, loaded.own)
    for part in module.modules() if frozen else ():
        if isinstance(part, _BatchNorm):
            part.eval()
    return fit(cfg, module, data, callbacks)


class Mishap(pl.Callback):
    """Do something in the middle of a step of one process.

    Args:
        rank: the process.
        step: the step.
        what: what to do.
    """

    def __init__(self, rank: int, step: int, what: Callable[[], object]) -> None:
        self.rank, self.step, self.what = rank, step, what

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        if (trainer.global_rank, trainer.global_step) == (self.rank, self.step):
            self.what()


def broken_photo() -> None:
    raise ValueError("photo 7 is broken")


def refused(*arguments: Any, **options: Any) -> str:
    """Return the error of a training."""
    try:
        train(*arguments, **options)
    except (ValueError, ProcessLost) as error:
        return str(error)
    return ""


def main(folder: Path, teacher: str) -> None:
    """Train as `TRAININGS`, resume from different folders, and fail; save figures and errors for each process."""
    rank = int(os.environ["RANK"])
    found: dict[str, Any] = {}
    for name in TRAININGS:
        figures = train(name, folder, teacher, "data.batch_size=2").callback_metrics
        found[name] = {key: float(value) for key, value in figures.items()}
    other = folder / "other" if rank else folder
    found["elsewhere"] = refused("mix", other, teacher, "data.batch_size=2", "trainer.max_epochs=2")
    mishap = Mishap(1, 1, broken_photo)
    found["failed"] = refused("mix", folder / "failed", teacher, "data.batch_size=2", callbacks=[mishap])
    torch.save(found, folder / f"{rank}.pt")
