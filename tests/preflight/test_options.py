"""Options of a training are refused before any work, in one line with the option, the value and what is allowed."""

import os
import re
import subprocess
import sys
from contextlib import nullcontext
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
from hydra.types import RunMode

from m2fp_kd.preflight import check
from m2fp_kd.preflight.options import RULES, _given
from m2fp_kd.preflight.trainer import trainer_options
from tests.preflight.conftest import Composer

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epochs=0", "trainer.max_epochs=0 must be a whole number from 1"),
        ("trainer.check_val_every_n_epoch=3", "trainer.check_val_every_n_epoch=3 must be at most trainer.max_epochs=2"),
        ("+trainer.limit_val_batches=0", "trainer.limit_val_batches=0 must be a whole number from 1, or a share"),
        ("+trainer.fast_dev_run=true", "trainer.fast_dev_run=true cannot train a student: it saves no state; for a"),
        ("+trainer.overfit_batches=1", "trainer.overfit_batches=1 cannot train a student: .*data.module.limit=16"),
        ("+trainer.enable_checkpointing=false", "trainer.enable_checkpointing=false must be true"),
        ("+trainer.max_epoch=3", "trainer.max_epoch is no option of Lightning's Trainer; did you mean trainer.max_e"),
        ("trainer.max_epochs=-1", "trainer.max_epochs=-1 has no last step"),
        ("lr=0", "lr=0 must be a number above 0"),
        ("lr=fast", "lr=fast must be a number above 0"),
        ("ema=1", "ema=1 must be a number above 0 and below 1, or null"),
        ("seed=-1", "seed=-1 must be a whole number from 0"),
        ("compile=yes please", "compile=yes please must be true or false"),
        ("schedule.warmup=1", "schedule.warmup=1 must be a number at least 0 and below 1"),
        ("data.size=100", "data.size=100 must be a multiple of 32 from 32"),
        ("data.batch_size=0", "data.batch_size=0 must be a whole number from 1"),
        ("data.module.workers=1.5", "data.module.workers=1.5 must be a whole number from 0"),
        ("data.module.augmentation.scale=3", "data.module.augmentation.scale=3 must be a list of two values"),
        ("pretrain.augmentation.scale=[2,1]", r"pretrain.augmentation.scale=\[2, 1\] must be a list of two values"),
        ("data.root=''", "data.root= has no value; give one, or null"),
        ("student.checkpoint=''", "student.checkpoint= has no value"),
        ("backbone.weights=''", "backbone.weights= has no value"),
        ("run_dir=''", "run_dir= has no value"),
        ("data.unlabelled=['a','']", "data.unlabelled.1= has no value"),
        ("data.root=null", "data.root=null: give data.root=DIR"),
        ("data=own", "data.root is not set; give data.root=PATH"),
        ("data.root=3", "data.root=3 must be a path"),
        ("data.root=gone", "data.root=gone: no such folder"),
        ("data.labels=null", "data.labels=null must be the name of a label set, or a YAML file"),
        ("name=''", "name= must be a name"),
        ("name=../evil", "name=../evil must be a name"),
        ("ckpt_path=3", "ckpt_path=3 must be last, null or a file"),
        ("distill.terms.ce.weight=nan", "distill.terms.ce.weight=nan must be a number at least 0"),
        ("teacher.shard=9/8", "teacher.shard=9/8 must be I/N, the share I from 1 to N of N, such as 2/8, or null"),
        ("teacher.shard=1/8", "teacher.shard=1/8 is for stage=cache"),
        ("teacher.mode=foo", "teacher.mode=foo must be one of none, live, cached, own"),
        ("teacher.mode=live", "teacher.mode=live needs the teacher's weights: add teacher.checkpoint=FILE"),
        ("teacher.size=100", "teacher.size=100 must be a multiple of 32 from 32, or null"),
        ("teacher.cache=3", "teacher.cache=3 must be a text, or null"),
        ("teacher.tta=3", "teacher.tta=3 must be a group of options"),
        ("teacher.tta.scales=big", "teacher.tta.scales=big must be a list of values, each a number above 0"),
        ("teacher.tta.scales=[]", r"teacher.tta.scales=\[\] must be a list of values"),
        ("teacher.normalisation=imagenet", "teacher.normalisation=imagenet must be mean and std, three numbers each"),
        ("teacher.normalisation={mean: [1,2,3]}", "must be mean and std, three numbers each"),
        ("teacher.normalisation={mean: 3, std: [1,2,3]}", "must be mean and std, three numbers each"),
        ("teacher.normalisation={mean: [1,2], std: [1,2]}", "must be mean and std, three numbers each"),
        ("teacher.normalisation={mean: [1,2,3], std: [0,1,1]}", "must be mean and std, three numbers each"),
        ("teacher.normalisation={mean: [1,2,x], std: [1,1,1]}", "must be mean and std, three numbers each"),
        ("run_dir=3", "run_dir=3 must be a text"),
        ("optimizer=sgd", "optimizer=sgd must be a group of options"),
        ("schedule=null", "schedule=null must be a group of options"),
        ("median_stopping=3", "median_stopping=3 must be a group of options, or null"),
        ("data.splits=3", "data.splits=3 must be a group of options"),
        ("data.module.augmentation=3", "data.module.augmentation=3 must be a group of options"),
        ("student.network=3", "student.network=3 must be a group of options"),
        ("distill.terms=null", "distill.terms=null must be a group of options"),
        ("distill.terms.ce=3", "distill.terms.ce=3 must be a group of options"),
        ("logger.csv=3", "logger.csv=3 must be a group of options"),
        ("trainer.precision=half", "trainer.precision=half must be one of 32-true, "),
        ("trainer.accelerator=tpus", "trainer.accelerator=tpus must be one of cpu, "),
        ("trainer.devices=0", "trainer.devices=0 must be auto, a whole number from 1, -1 for all, or a list such as"),
        ("+trainer.callbacks=3", "trainer.callbacks=3 is set by the run: use none of your own"),
        ("compress.threads=0", "compress.threads=0: must be greater than or equal to 1"),
        ("compress.precision=bf16", "compress.precision=bf16: must be 'f32' or 'auto'"),
        ("compress.gates.export.min_pixel_agreement=97", "compress.gates.export.min_pixel_agreement=97: must be less"),
        ("compress.gates.export=null", "compress.gates.export=None must be a group of options"),
        ("compress.steps.int8_static.calibration_photos=0", "compress.steps.int8_static.calibration_photos=0: must be"),
        ("stage=fly", "stage=fly must be one of train, teacher, cache, compress, pretrain"),
        ("teacher=cached", "teacher.checkpoint=FILE, or the folder of its filled cache; teacher.cache=cache/sample-"),
        ("teacher.licence=3", "teacher.licence=3 must be a text, or null"),
        ("stage=cache", "stage=cache needs teacher=cached teacher.checkpoint=FILE"),
        ("stage=compress", "stage=compress needs student.checkpoint=PATH"),
    ],
)  # fmt: skip
def test_an_impossible_option_is_named(composed: Composer, override: str, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message) as raised:
        check(composed(override))
    assert "\n" not in str(raised.value)


def test_a_limit_of_time_does_not_replace_the_number_of_epochs(composed: Composer) -> None:
    check(composed("+trainer.max_time='00:01:00:00'"))
    with pytest.raises(ValueError, match=r"trainer.max_epochs=-1 has no last step"):
        check(composed("trainer.max_epochs=-1", "+trainer.max_time='00:01:00:00'"))


def test_every_rule_is_for_an_option_that_exists(composed: Composer) -> None:
    cfgs = [composed(data, "student=m2fp") for data in ("data=sample", "data=synthetic", "data=mix", "data=shards")]
    added = re.compile(r"trainer\..*|.*\.(held_out|anneal)|.*\.augmentation\..*")  # with + on the command line
    assert [option for option in RULES if not any(any(_given(cfg, option)) for cfg in cfgs)] == [
        option for option in RULES if added.fullmatch(option) and not any(any(_given(cfg, option)) for cfg in cfgs)
    ]


def test_precisions_and_options_of_the_trainer_are_lightnings() -> None:
    import pytorch_lightning as pl
    from lightning_fabric.connector import _PRECISION_INPUT_STR, _PRECISION_INPUT_STR_ALIAS

    assert set(trainer_options()) == set(signature(pl.Trainer).parameters)
    words = {*get_args(_PRECISION_INPUT_STR), *get_args(_PRECISION_INPUT_STR_ALIAS)}
    assert all(RULES["trainer.precision"].holds(word) for word in words)


REFUSED = [
    ["lr=nan"],
    ["trainer.precision=half"],
    ["+trainer.max_epoch=3"],
    ["compress=prune", "compress.steps.prune.reduction=1.5"],
    ["data.module.augmentation.rotation=-3"],
    ["stage=cache"],
    ["teacher=live", "teacher.checkpoint=gone.json"],
    ["sweep=optuna"],
]

PROGRAM = f"""
import sys
from m2fp_kd.train import main
for overrides in {REFUSED}:
    sys.argv[1:] = overrides
    print(main())
    print("END", file=sys.stderr)
print({{"torch", "lightning_fabric", "pytorch_lightning"}} & set(sys.modules))
"""


def test_a_refusal_needs_no_torch_and_is_the_last_line(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.split("\n") == [*["2"] * len(REFUSED), "set()", ""], done.stderr
    for overrides, printed in zip(REFUSED, done.stderr.split("END\n")[:-1], strict=True):
        last = printed.splitlines()[-1]
        assert last.startswith("m2fp-kd: ") and overrides[-1].strip("+").partition("=")[0] in last, printed
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stage", ["train", "teacher", "pretrain", "cache", "compress"])
def test_the_usual_options_are_accepted(composed: Composer, stage: str) -> None:
    needed = {"cache": ["teacher=cached"], "compress": [f"student.checkpoint={__file__}"]}.get(stage, [])
    if needed:
        needed.append(f"teacher.checkpoint={__file__}")
    check(composed(f"stage={stage}", "trainer=ddp", "+trainer.max_steps=3", "distill=best", "ema=0.99", *needed))


@pytest.mark.parametrize("mode", [RunMode.RUN, RunMode.MULTIRUN])
def test_a_sweep_needs_hydras_option(composed: Composer, monkeypatch: pytest.MonkeyPatch, mode: RunMode) -> None:
    job = SimpleNamespace(mode=mode, runtime=SimpleNamespace(choices={"sweep": "optuna"}))
    hydra = SimpleNamespace(initialized=lambda: True, get=lambda: job)
    monkeypatch.setattr("m2fp_kd.preflight.stages.HydraConfig", hydra)
    refused = pytest.raises(ValueError, match=r"sweep=optuna needs -m: m2fp-kd train -m sweep=optuna")
    with refused if mode == RunMode.RUN else nullcontext():
        check(composed())
