"""Two processes of a distributed training on this machine, connected by gloo.

They are forked from a process that has imported the pipeline, because the import takes longer than their trainings.
"""

import os
import socket
from collections.abc import Callable
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


def until_end(act: Callable[..., None], *arguments: object) -> tuple[list[int | None], str]:
    """Call a function of a module in two processes, in an environment as torchrun's, until both have ended.

    Returns:
        Their exit codes, negative for a signal, and what they printed.
    """
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
        return [process.exitcode for process in processes], "\n".join(one.read_text() for one in outputs)


def run(act: Callable[..., None], *arguments: object) -> None:
    """Call a function of a module in two processes; both must end well."""
    codes, printed = until_end(act, *arguments)
    assert codes == [0, 0], printed


def _wait(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.join(SECONDS)
    for process in processes:
        process.kill()
        process.join()
