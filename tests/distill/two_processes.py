"""Two processes of a distributed training on this machine, connected by gloo."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(module: str, *arguments: object, environment: dict[str, str] | None = None) -> list[subprocess.Popen]:
    """Start `python -m MODULE` twice, as torchrun would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test",
    }  # fmt: skip
    return [
        subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0"} | (environment or {}),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]


def run(module: str, *arguments: object) -> None:
    """Run `python -m MODULE` in two processes; both must end well."""
    started = start(module, *arguments)
    errors = [process.communicate(timeout=200)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(errors)
