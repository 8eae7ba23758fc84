"""One of two processes of a distributed training; see `two_processes`."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def be(variables: Mapping[str, str], output: Path, act: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """Be a process of the training, which prints into a file."""
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(variables)
    os.chdir(ROOT)
    act(*arguments)
