"""Options of compression are checked by the types that the steps themselves have."""

from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml
from hydra.utils import get_class
from omegaconf import OmegaConf

from m2fp_kd.compress.options import FIELDS, Gate, OptionError, check_settings
from m2fp_kd.shipped import conf_folder

STEPS = sorted((Path(__file__).parents[2] / "conf" / "compress" / "step").glob("*.yaml"))


def options(**steps: object) -> dict:
    return {"gates": {"export": {"min_pixel_agreement": 0.9, "max_miou_drop": 1}}, "steps": steps, "threads": 2} | {
        "precision": "f32"
    }


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_every_field_of_a_step_has_its_type_in_the_table(path: Path) -> None:
    step = get_class(OmegaConf.load(path)[path.stem]._target_)
    types = get_type_hints(step, include_extras=True)
    for field in fields(step):
        assert types[field.name] == FIELDS[field.name], field.name


def test_settings_are_returned_and_steps_checked() -> None:
    settings = check_settings(options(qat={"_target_": "any.Class", "epochs": 3, "unknown": None}))
    assert settings.threads == 2 and settings.gates["export"].max_miou_drop == 1


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"epochs": 0}, "compress.steps.qat.epochs=0: must be greater than or equal to 1"),
        ({"epochs": True}, "compress.steps.qat.epochs=True: must be a valid integer"),
        ({"lr_scale": float("inf")}, "compress.steps.qat.lr_scale=inf: must be a finite number"),
        (None, "compress.steps.qat=None must be a group of options"),
    ],
)
def test_a_wrong_field_is_named(step: object, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_settings(options(qat=step))


def test_every_gate_of_the_shipped_configuration_limits_every_score() -> None:
    gates = yaml.safe_load((conf_folder() / "compress" / "base.yaml").read_text())["gates"]
    limits = {field.name for field in fields(Gate)}
    assert not [name for name, gate in gates.items() if limits - set(gate)]
