"""Types of the options of compression: pydantic checks type and range when a step or a gate is built."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from hydra.errors import InstantiationException
from pydantic import ConfigDict, Field, ValidationError

STRICT = ConfigDict(strict=True, extra="forbid")
"""Refuses conversions, such as of `true` to 1, and unknown fields."""

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareAbove0 = Annotated[float, Field(gt=0, le=1)]
ShareBelow1 = Annotated[float, Field(gt=0, lt=1)]
Points = Annotated[float, Field(ge=0, le=100)]
Factor = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]
"""Name of an artefact or a network, which becomes a name of files."""

Built = TypeVar("Built")


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


def _refusal(option: str, error: ValidationError) -> OptionError:
    return OptionError("; ".join(_line(option, found) for found in error.errors()))


def _line(option: str, found: Any) -> str:
    message = found["msg"].removeprefix("Value error, ")
    name = ".".join([option, *map(str, found["loc"])])
    if not found["loc"]:  # fields that contradict each other
        return f"{name}: {message}"
    return f"{name}={found['input']}: {message.replace('Input should be', 'must be').replace('String should', 'must')}"
