"""`m2fp-kd parse --ray`: photos in parallel on the workers of a Ray cluster.

A task is a few photos. Ray repeats the task of a worker that died; every result is written whole or not at all, and
the rows of a task arrive together, so that nothing is lost and no photo has two rows.
"""

import argparse
import logging
import os
import pickle
import socket
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from m2fp_kd.cli.jobs import Job, Wanted
from m2fp_kd.cli.outcomes import Outcome, attempt
from m2fp_kd.cli.remote import copied
from m2fp_kd.cli.results import named_paths, parse_photo

if TYPE_CHECKING:
    import pyarrow

    from m2fp_kd.labels import Translation

LOCAL = "local"
"""Address that starts a cluster on this machine, for this call only."""

PHOTOS = 16
"""Photos of a task: few to parse again where a worker dies, and enough to make up for the cost of a task."""

MOST_TASKS = 10_000
"""Most tasks, whose photos the driver holds at the same time; more photos make larger tasks."""

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # else the news of a lost worker is printed among the results
}
"""Ray sends no statistics of its use, and prints nothing among the command's own output."""

AUTO = "auto"
"""Address of the cluster that this machine belongs to."""

PATIENCE = 8.0
"""Seconds to wait for a connection to a cluster's address, and again for its answer."""

GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""First bytes of a client of HTTP/2, on which Ray's protocol is based: preface and empty settings (RFC 9113, 3.4)."""

FRAME, SETTINGS = 4, b"\x04"
"""Bytes of an answer to `GREETING` up to the type of its frame, and that type."""

TOKEN = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Variables that name the token of a cluster; without them Ray takes that of ``~/.ray/auth_token``."""

WAY = "start a cluster with `ray start --head` and give its HOST:PORT, or parse on this machine with --ray local"


class PoolError(RuntimeError):
    """Raised where the cluster gives up a task."""


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that do not go with a cluster.

    Raises:
        ValueError: there is such an option, or the address has no port; the message names it.
        ModuleNotFoundError: the extra `ray` is not installed.
        ConnectionError: no cluster answers at the address.
    """
    others = {
        "--shard": options.shard,
        "--format": options.format,
        "a camera": any(not isinstance(source, Path) and source.camera for source in options.sources),
    }
    if refused := [name for name, given in others.items() if given]:
        raise ValueError(f"--ray does not go with {', '.join(refused)}; it parses photos and shares them by itself")
    if options.ray not in (LOCAL, AUTO):
        _check_answer(options.ray)
        if _has_token():
            os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray 2.60 sends no token to HOST:PORT otherwise
    options.extras = "serve,ray"
    os.environ.update(ENVIRONMENT)  # Ray reads it when it is imported
    import ray.data  # noqa: F401


def check_photos(jobs: Iterable[Job]) -> None:
    """Refuse videos.

    Raises:
        ValueError: a job is a video.
    """
    if video := next((job for job in jobs if job.is_video), None):
        raise ValueError(f"--ray parses photos, and {video.source} is a video; parse it without --ray")


@contextmanager
def cluster(address: str, workers: int | None, threads: int) -> Iterator[int]:
    """Connect to a cluster, or start one, and yield the number of workers.

    Args:
        address: a cluster's, `auto`, or `LOCAL`.
        workers: number of workers; None for as many as its CPUs allow.
        threads: CPUs of each.

    Raises:
        ConnectionError: there is no cluster, or it cannot be joined.
        ValueError: the cluster has too few CPUs.
    """
    import ray
    from ray.data import DataContext

    from m2fp_kd.runtime.cores import usable_cores

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        cpus = threads * (workers or max(1, usable_cores() // threads))
        quiet |= {"num_cpus": cpus, "include_dashboard": False}
    try:
        with _silenced():  # Ray says on stderr that it was asked to say little
            ray.init(address, **quiet)
    except (RuntimeError, ConnectionError) as error:  # another version of Ray or Python is a RuntimeError
        words = f"the cluster at {address} cannot be joined ({_last_line(error)})"
        raise ConnectionError(
            f"{words}; use its token (RAY_AUTH_TOKEN_PATH) and its versions of Ray and Python, or {WAY}"
        ) from error
    try:
        logging.getLogger("ray").setLevel(logging.ERROR)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it prints the errors that it raises
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        cpus = int(ray.cluster_resources().get("CPU", 0))
        workers = workers or cpus // threads
        if not 1 <= workers * threads <= cpus:
            wanted = f"{max(workers, 1)} workers of {threads} threads"
            raise ValueError(f"the cluster at {address} has {cpus} CPUs, too few for {wanted} (--jobs, --threads)")
        yield workers
    finally:
        ray.shutdown()


def _check_answer(address: str) -> None:
    """Check that a server of Ray's protocol answers at an address; Ray would wait for many minutes.

    Raises:
        ValueError: the address is none.
        ConnectionError: nothing answers there, or another program.
    """
    there = urlsplit(address if "//" in address else f"//{address}")
    try:
        host, port = there.hostname, there.port
    except ValueError:  # no number up to 65535
        host, port = None, None
    if not host or not port:
        raise ValueError(f"--ray {address} must be HOST:PORT, such as 10.0.0.1:6379, {AUTO} or {LOCAL}")
    try:
        with socket.create_connection((host, port), PATIENCE) as connection:
            if os.environ.get("RAY_USE_TLS") == "1":
                return
            connection.sendall(GREETING)
            begin = connection.makefile("rb").read(FRAME)
    except OSError as error:
        raise ConnectionError(f"no cluster answers at {address} ({error.strerror or error}); {WAY}") from error
    if begin[3:] != SETTINGS:
        raise ConnectionError(f"another program than Ray answers at {address}; {WAY}")


def _has_token() -> bool:
    """Return whether Ray can find a token, which a cluster without authentication does not mind."""
    return any(map(os.environ.get, TOKEN)) or (Path.home() / ".ray" / "auth_token").is_file()


@contextmanager
def _silenced() -> Iterator[None]:
    """Discard what this process writes to standard error, also from libraries in C++."""
    sys.stderr.flush()
    before = os.dup(2)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


class ParsePhotos:
    """A worker: it loads the artefact once and parses the photos of each task, one after the other.

    Args:
        options: options of the command, with a path of the artefact that holds on every machine.
        wanted: results to make.
        translation: translation of the results to another label set.
    """

    def __init__(self, options: argparse.Namespace, wanted: Wanted, translation: "Translation | None") -> None:
        from m2fp_kd.runtime.parser import Parser
        from m2fp_kd.runtime.photo_file import reuse_memory

        self.options, self.wanted = options, wanted
        self.parser = Parser.load(
            options.artefact, options.engine, options.threads or 1, options.precision, translation=translation
        )
        reuse_memory(1)

    def __call__(self, tasks: "pyarrow.Table") -> dict[str, list[bytes]]:
        """Parse the photos of a task; return their outcomes, or the error that ends the work as the last of them."""
        outcomes: list[bytes] = []
        for task in tasks["task"].to_pylist():
            job, made_from = pickle.loads(task)
            outcome, ends = self._outcome(job, made_from)
            outcomes.append(pickle.dumps((outcome, ends)))
            if ends:
                break
        return {"outcome": outcomes}

    def _outcome(self, job: Job, made_from: str) -> tuple[Outcome, bool]:
        try:
            return attempt(lambda: self._parse(job, made_from)), False
        except OSError as error:
            return error, True

    def _parse(self, job: Job, made_from: str) -> dict[str, Any]:
        with ExitStack() as stack:
            if job.remote:
                file = stack.enter_context(copied(job.remote.address, job.source.name))
                job = replace(job, source=file)
            return parse_photo(self.parser, job, made_from, self.wanted, self.options.megapixels, self.options.draft)


def pool_outcomes(
    jobs: Mapping[Job, str],
    wanted: Wanted,
    options: argparse.Namespace,
    translation: "Translation | None",
) -> Generator[Outcome]:
    """Yield the outcomes of photos in their order, parsed by the workers of the cluster that `cluster` connected.

    Args:
        jobs: photos, each with what identifies the origin of its results.
        wanted: results to make.
        options: options of the command; `options.jobs` is the number of workers.
        translation: translation of the results to another label set.

    Raises:
        OSError: nothing can be written.
        PoolError: the cluster gives up.
    """
    import ray.data
    from ray.exceptions import RayError

    tasks = [{"task": pickle.dumps((_absolute(job), made_from))} for job, made_from in jobs.items()]
    if not tasks:
        return
    count = min(len(tasks), max(4 * options.jobs, -(-len(tasks) // PHOTOS)), MOST_TASKS)
    everywhere = argparse.Namespace(**vars(options) | {"artefact": options.artefact.absolute()})
    parsed = ray.data.from_items(tasks, override_num_blocks=count).map_batches(
        ParsePhotos,
        fn_constructor_args=(everywhere, wanted, translation),
        compute=ray.data.ActorPoolStrategy(size=options.jobs),
        num_cpus=options.threads or 1,
        batch_size=None,
        batch_format="pyarrow",
    )
    try:
        for job, row in zip(jobs, parsed.iter_rows(), strict=True):
            outcome, ends = pickle.loads(row["outcome"])
            if ends:
                raise outcome
            yield outcome if isinstance(outcome, Exception) else outcome | named_paths(job, wanted)
    except RayError as error:
        line = _last_line(error)
        missing = "; install m2fp-kd[serve,ray] on every machine of the cluster" if "No module named" in line else ""
        raise PoolError(f"Ray gave up: {line}{missing}") from error


def _absolute(job: Job) -> Job:
    return replace(job, source=job.source.absolute(), stem=job.stem.absolute())


def _last_line(error: Exception) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
