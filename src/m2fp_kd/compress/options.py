"""Types of the options of compression: pydantic checks type and range when a step or a gate is built."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from hydra.errors import InstantiationException
from pydantic import ConfigDict, Field, ValidationError, create_model
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(strict=True, extra="forbid")
"""Refuses conversions, such as of `true` to 1, and unknown fields."""

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareAbove0 = Annotated[float, Field(gt=0, le=1)]
ShareBelow1 = Annotated[float, Field(gt=0, lt=1)]
Points = Annotated[float, Field(ge=0, le=100)]
Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]
"""Name of an artefact or a network, which becomes a name of files."""

Parts = Annotated[Sequence[str], Field(min_length=1)]
Quantity = Literal["parameters", "macs", "milliseconds"]
Importance = Literal["l1", "bn_scale", "taylor"]
Engine = Literal["openvino", "onnxruntime"]

FIELDS: dict[str, Any] = {
    "name": Name,
    "made_from": Name,
    "calibration_photos": Count,
    "epochs": Count,
    "lr_scale": Factor,
    "threads": Count | None,
    "quantity": Quantity,
    "reduction": ShareBelow1,
    "importance": Importance,
    "most": ShareAbove0,
    "last_epochs": Count,
    "gradient_batches": Count,
    "engine": Engine,
    "latency_table": str | None,
    "max_miou_drop": Points,
    "max_part_drop": Points | None,
    "parts": Parts | None,
    "max_evaluations": Count,
}
"""Field of a step -> its type, the same in every step, so that options are checked before the steps are imported."""

Built = TypeVar("Built")


@dataclass(frozen=True, config=STRICT)
class Gate:
    """Limits of what a hop may cost.

    Attributes:
        min_pixel_agreement: least share (0..1) of pixels on which both models name the same part.
        max_miou_drop: largest loss of mIoU in points (hundredths), tested at 95 % confidence: with so few photos that a
            measured loss of 0.4 may be 0.6 on others, it does not pass a limit of 0.5.
        max_part_drop: largest loss of a single part's IoU in points; None for no limit.
        max_boundary_drop: largest loss of mean boundary IoU in points, tested as mIoU is; None for no limit.
    """

    min_pixel_agreement: Share
    max_miou_drop: Points
    max_part_drop: Points | None = None
    max_boundary_drop: Points | None = None

    @property
    def thresholds(self) -> dict[str, float]:
        """Return the limits that are set, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True, config=STRICT)
class CheckSettings:
    """How hops are checked.

    Attributes:
        gates: limits by the name of a gate, see `steps.gate_name`; "precision" is that of the hop to another precision.
        threads: CPU threads of the engine; None leaves it to the engine.
        precision: "auto" also checks the last artefact in the precision that the engine chooses (bf16 on CPUs that have
            it); "f32" does not.
    """

    gates: Mapping[str, Gate]
    threads: Count | None = None
    precision: Literal["f32", "auto"] = "f32"


class OptionError(ValueError):
    """Raised for an option with a wrong value; the message names option, value and what is allowed."""


def build(option: str, make: Callable[[], Built]) -> Built:
    """Build a step, a gate or settings.

    Args:
        option: option that holds its fields, such as "compress.steps.prune".
        make: builds it.

    Raises:
        OptionError: a field has a wrong value.
    """
    try:
        return make()
    except ValidationError as error:
        raise _refusal(option, error) from error
    except InstantiationException as error:  # Hydra's, around the error of the class that it calls
        if isinstance(error.__cause__, ValidationError):
            raise _refusal(option, error.__cause__) from error
        raise


def check_settings(options: Mapping[str, Any]) -> CheckSettings:
    """Return the gates and settings of ``compress``, and check the fields of its steps.

    Args:
        options: content of ``compress``, all interpolations resolved.

    Raises:
        OptionError: a field has a wrong value.
    """
    gates = {
        name: build(f"compress.gates.{name}", partial(Gate, **limits)) for name, limits in _groups(options, "gates")
    }
    for name, step in _groups(options, "steps"):
        fields = {field: value for field, value in step.items() if field in FIELDS}
        types: Any = {field: (FIELDS[field], ...) for field in fields}
        build(f"compress.steps.{name}", partial(create_model("Step", __config__=STRICT, **types), **fields))
    return build("compress", partial(CheckSettings, gates, threads=options["threads"], precision=options["precision"]))


def _groups(options: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the groups of options in ``compress.KEY``."""
    groups = options.get(key)
    if not isinstance(groups, Mapping):
        raise OptionError(f"compress.{key}={groups} must be a group of options; leave it out")
    for name, group in groups.items():
        if not isinstance(group, Mapping):
            raise OptionError(f"compress.{key}.{name}={group} must be a group of options; leave it out")
    return list(groups.items())


def _refusal(option: str, error: ValidationError) -> OptionError:
    return OptionError("; ".join(_line(option, found) for found in error.errors()))


def _line(option: str, found: Any) -> str:
    message = found["msg"].removeprefix("Value error, ")
    name = ".".join([option, *map(str, found["loc"])])
    if not found["loc"]:  # fields that contradict each other
        return f"{name}: {message}"
    return f"{name}={found['input']}: {message.replace('Input should be', 'must be').replace('String should', 'must')}"
