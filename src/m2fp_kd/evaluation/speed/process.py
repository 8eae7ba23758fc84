"""A Python program run as a clean process of its own, which prints its result as one line of JSON."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import m2fp_kd

ERROR = re.compile(r"(\w+\.)+\w+: |\w*(Error|Exception|Interrupt)\b:? ?")
"""How the line begins in which Python names an error."""


class ChildError(RuntimeError):
    """A process that failed; the message holds the end of what it said.

    Attributes:
        reason: why, in one line.
    """

    def __init__(self, what: str, how: str, said: str) -> None:
        self.reason = last_error(said) or how
        super().__init__(f"{what} failed ({how}):\n{said[-2000:]}")


def run_child(command: Sequence[str], what: str) -> dict[str, Any]:
    """Run a command and read the JSON object in the last line that it prints; libraries may print lines before it.

    Args:
        command: program and arguments; a Python program finds this package.
        what: what it does, for the error.

    Raises:
        ChildError: it could not be started, failed, or its last line is no JSON object.
    """
    # The package may be on this process's path only (a checkout that is not installed).
    package_root = str(Path(m2fp_kd.__file__).parents[1])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": search_path}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    except OSError as error:
        raise ChildError(what, "cannot be started", str(error)) from error
    if done.returncode < 0:
        raise ChildError(what, f"killed by {signal.Signals(-done.returncode).name}", done.stderr)
    if done.returncode:
        raise ChildError(what, f"exit code {done.returncode}", done.stderr)
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        answer = None
    if not isinstance(answer, dict):
        raise ChildError(what, "its last line is no JSON object", done.stdout)
    return answer


def last_error(said: str) -> str:
    """The error that a program's last words end with, in one line, without its class; else the last line, or ""."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for index in reversed(range(len(lines))):
        if found := ERROR.match(lines[index]):
            return " ".join([lines[index][found.end() :], *lines[index + 1 :]]).strip() or lines[index]
    return lines[-1] if lines else ""
