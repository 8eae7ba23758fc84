"""Run a Python program in a clean process of its own and read its result, one line of JSON."""

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
"""Start of the line in which Python names an error."""


class ProcessError(RuntimeError):
    """A process failed; the message holds the end of its output.

    Attributes:
        reason: cause of the failure, in one line.
    """

    def __init__(self, task: str, status: str, output: str) -> None:
        self.reason = last_error(output) or status
        super().__init__(f"{task} failed ({status}):\n{output[-2000:]}")


def run_process(command: Sequence[str], task: str) -> dict[str, Any]:
    """Run a command and return the JSON object in the last line that it prints; earlier lines are ignored.

    Args:
        command: program and arguments; a Python program can import this package.
        task: description of what the command does, for the error.

    Raises:
        ProcessError: the command could not be started, failed, or did not end with a JSON object.
    """
    # The package may be on this process's path only (a checkout that is not installed).
    package_root = str(Path(m2fp_kd.__file__).parents[1])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": search_path}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    except OSError as error:
        raise ProcessError(task, "cannot be started", str(error)) from error
    if done.returncode < 0:
        raise ProcessError(task, f"killed by {signal.Signals(-done.returncode).name}", done.stderr)
    if done.returncode:
        raise ProcessError(task, f"exit code {done.returncode}", done.stderr)
    try:
        result = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        result = None
    if not isinstance(result, dict):
        raise ProcessError(task, "its last line is not a JSON object", done.stdout)
    return result


def last_error(output: str) -> str:
    """Return the error that ends a program's output, in one line without its class.

    Without an error, return the last line that is not blank, or "".
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for index in reversed(range(len(lines))):
        if found := ERROR.match(lines[index]):
            return " ".join([lines[index][found.end() :], *lines[index + 1 :]]).strip() or lines[index]
    return lines[-1] if lines else ""
