"""Options of a training are refused before any work, in one line with the option, the value and what is allowed."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from hydra.types import RunMode

from m2fp_kd.pipeline.assemble.options import RULES, check_options, number, optional, whole
from tests.pipeline.conftest import Composer


def test_numbers_have_types_and_ends() -> None:
    share = number(0, 1, open_low=True)
    assert share.holds(1) and share.holds(0.5) and not share.holds(0)
    assert not any(share.holds(value) for value in (True, "0.5", None, float("nan"), 1.5))
    assert number(0).holds(0) and not number(0).holds(float("inf"))
    assert whole(1).holds(1) and not whole(1).holds(1.0) and not whole(1).holds(True)
    assert optional(whole(1)).holds(None) and optional(whole(1)).allowed == "a whole number from 1, or null"


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
        ("trainer.max_epochs=-1", "trainer.max_epochs=-1 never ends"),
        ("lr=0", "lr=0 must be a number above 0"),
        ("lr=fast", "lr=fast must be a number above 0"),
        ("ema=1", "ema=1 must be a number above 0 and below 1, or null"),
        ("seed=-1", "seed=-1 must be a whole number from 0"),
        ("compile=yes please", "compile=yes please must be true or false"),
        ("schedule.warmup=1", "schedule.warmup=1 must be a number at least 0 and below 1"),
        ("data.size=100", "data.size=100 must be a multiple of 32 from 32"),
        ("data.batch_size=0", "data.batch_size=0 must be a whole number from 1"),
        ("data.module.workers=1.5", "data.module.workers=1.5 must be a whole number from 0"),
    ],
)  # fmt: skip
def test_an_impossible_option_is_named(composed: Composer, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        check_options(composed(override))
    assert "\n" not in str(raised.value)


def test_every_rule_is_for_an_option_that_exists(composed: Composer) -> None:
    cfg = composed()
    for option in RULES:
        group, _, name = option.partition(".")
        if group not in ("trainer", "distill", "schedule"):
            node = cfg[group]
            for part in filter(None, name.split(".")):
                assert part in node, option
                node = node[part]


@pytest.mark.parametrize("stage", ["train", "teacher", "pretrain", "cache", "compress"])
def test_the_usual_options_are_accepted(composed: Composer, stage: str) -> None:
    check_options(composed(f"stage={stage}", "trainer=ddp", "+trainer.max_steps=3", "distill=best", "ema=0.99"))


@pytest.mark.parametrize("mode", [RunMode.RUN, RunMode.MULTIRUN])
def test_a_sweep_needs_hydras_option(composed: Composer, monkeypatch: pytest.MonkeyPatch, mode: RunMode) -> None:
    job = SimpleNamespace(mode=mode, runtime=SimpleNamespace(choices={"sweep": "optuna"}))
    hydra = SimpleNamespace(initialized=lambda: True, get=lambda: job)
    monkeypatch.setattr("m2fp_kd.pipeline.assemble.options.HydraConfig", hydra)
    refused = pytest.raises(ValueError, match=r"sweep=optuna needs -m: m2fp-kd train -m sweep=optuna")
    with refused if mode == RunMode.RUN else nullcontext():
        check_options(composed())
