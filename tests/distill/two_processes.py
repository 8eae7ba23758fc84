"""Two processes of a distributed training on this machine, connected by gloo."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]

Process = subprocess.Popen[str]


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def environment() -> dict[str, str]:
    """Return the environment of a process that imports this checkout."""
    return os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}


def start(module: str, *arguments: object) -> list[Process]:
    """Start `python -m MODULE` twice, as torchrun would."""
    common = environment() | {
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
        "TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0",
    }  # fmt: skip
    return [
        subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            env=common | {"RANK": rank, "LOCAL_RANK": rank},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("0", "1")
    ]


def ended(started: Sequence[Process]) -> tuple[list[int], str]:
    """Wait for processes; return their exit codes and what they printed."""
    try:
        printed = [process.communicate(timeout=400)[0] for process in started]
        return [process.returncode for process in started], "\n".join(printed)
    finally:
        for process in started:
            process.kill()


def run(module: str, *arguments: object) -> None:
    """Run `python -m MODULE` in two processes; both must end well."""
    codes, printed = ended(start(module, *arguments))
    assert codes == [0, 0], printed
