"""Rules for the values of options: what is allowed, in words, and whether a value is."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FILE_ENDINGS = (
    ".pt", ".pth", ".bin", ".ckpt", ".pkl", ".json", ".safetensors", ".onnx", ".xml", ".pt2", ".pte", ".tflite",
    ".param", ".yaml", ".yml", ".npz",
)  # fmt: skip
"""Endings of the files of networks, bridges and classes."""


class Rule(NamedTuple):
    """Values that an option may have.

    Attributes:
        allowed: description of the values, for the message.
        holds: whether a value is one of them.
    """

    allowed: str
    holds: Callable[[Any], bool]

    def check(self, option: str, value: Any) -> None:
        """Check the value of an option.

        Raises:
            ValueError: it is not allowed; the message names the option, the value and what is allowed.
        """
        if not self.holds(value):
            raise ValueError(f"{option}={shown(value)} must be {self.allowed}")


def shown(value: Any) -> str:
    """Return a value as a user writes it on the command line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def whole(least: int) -> Rule:
    """Allow whole numbers from ``least`` on."""
    return Rule(f"a whole number from {least}", lambda value: is_whole(value) and value >= least)


def number(least: float, most: float = math.inf, *, open_low: bool = False, open_high: bool = False) -> Rule:
    """Allow numbers from ``least`` to ``most``; an open end is not allowed itself."""
    low = f"above {least:g}" if open_low else f"at least {least:g}"
    high = "" if most == math.inf else f" and {'below' if open_high else 'at most'} {most:g}"

    def holds(value: Any) -> bool:
        if not (is_whole(value) or isinstance(value, float)) or not abs(value) <= sys.float_info.max:
            return False
        return (value > least if open_low else value >= least) and (value < most if open_high else value <= most)

    return Rule(f"a number {low}{high}", holds)


def interval(rule: Rule) -> Rule:
    """Allow a pair of values that ``rule`` allows, the smaller first."""

    def holds(value: Any) -> bool:
        pair = list(value) if isinstance(value, Sequence) else []
        return len(pair) == 2 and all(map(rule.holds, pair)) and pair[0] <= pair[1]

    return Rule(f"a list of two values, the smaller first, each {rule.allowed}", holds)


def several(rule: Rule) -> Rule:
    """Allow a list of values that ``rule`` allows, at least one."""
    return Rule(
        f"a list of values, each {rule.allowed}",
        lambda value: isinstance(value, list) and bool(value) and all(map(rule.holds, value)),
    )


def one_of(*words: str) -> Rule:
    """Allow these words."""
    return Rule(f"one of {', '.join(words)}", lambda value: value in words)


def optional(rule: Rule) -> Rule:
    """Allow null as well."""
    return Rule(f"{rule.allowed}, or null", lambda value: value is None or rule.holds(value))


def either(first: Rule, second: Rule) -> Rule:
    """Allow what one of two rules allows."""
    return Rule(f"{first.allowed}, or {second.allowed}", lambda value: first.holds(value) or second.holds(value))


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def means_file(path: Path) -> bool:
    """Return whether a value that may also be the name of a model of a hub, which may have a dot, means a file."""
    return path.is_absolute() or path.suffix.lower() in FILE_ENDINGS


FLAG = Rule("true or false", lambda value: isinstance(value, bool))
TEXT = Rule("a text", lambda value: isinstance(value, str))
GROUP = Rule("a group of options", lambda value: isinstance(value, Mapping))
