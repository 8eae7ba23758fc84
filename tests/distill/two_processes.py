"""Two processes of a distributed training on this machine, connected by gloo.

They are forked from a process that has imported the pipeline, because the import takes longer than their trainings.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.distill.one_of_two import be

SECONDS = 400

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["m2fp_kd.pipeline"])
forkserver.ensure_running()  # before a data module starts one that imports less


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass(frozen=True)
class Ended:
    """How both processes ended.

    Attributes:
        codes: their exit codes; a signal's is negative.
        printed: what they printed.
    """

    codes: list[int | None]
    printed: str


def until_end(act: Callable[..., None], *arguments: object) -> Ended:
    """Call a function of a module in two processes, in an environment as torchrun's, until both have ended."""
    common = os.environ | {
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
        "TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0",
    }  # fmt: skip
    with TemporaryDirectory() as folder:
        outputs = [Path(folder) / rank for rank in ("0", "1")]
        processes = [
            FORKS.Process(target=be, args=(common | {"RANK": one.name, "LOCAL_RANK": one.name}, one, act, arguments))
            for one in outputs
        ]
        for process in processes:
            process.start()
        _wait(processes)
        return Ended([process.exitcode for process in processes], "\n".join(one.read_text() for one in outputs))


def run(act: Callable[..., None], *arguments: object) -> None:
    """Call a function of a module in two processes; both must end well."""
    ended = until_end(act, *arguments)
    assert ended.codes == [0, 0], ended.printed


def _wait(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.join(SECONDS)
    for process in processes:
        process.kill()
        process.join()
