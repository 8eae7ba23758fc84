"""Candidates of a benchmark: artefacts and baselines in every engine, precision, number of threads and batch size."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from m2fp_kd.evaluation.speed.measure import Measurement, measure, measure_command
from m2fp_kd.runtime.artefact import ArtefactError, find_model
from m2fp_kd.runtime.engines import ENGINES

MOST_RUNS = 50
"""Maximum number of timed calls in one round."""


@dataclass(frozen=True)
class Candidate:
    """One thing to measure.

    Attributes:
        name: name of the artefact or command.
        source: path of an artefact, as for `Parser.load`, or the words of a command that measures another model.
        baseline: whether the others are compared with it.
        engine: name of the engine; None for the runtime's choice.
        precision: "f32" or "auto".
        threads: number of CPU threads.
        batch: number of photos in one call.
    """

    name: str
    source: Path | tuple[str, ...]
    baseline: bool
    engine: str | None
    precision: str
    threads: int
    batch: int

    @property
    def artefact(self) -> Path | None:
        """Path of the artefact; None for a command."""
        return self.source if isinstance(self.source, Path) else None

    @property
    def onnx(self) -> Path | None:
        """The artefact's ONNX file; None if it has another format or is missing."""
        model = self.artefact and _model(self.artefact)
        return model if model and model.suffix == ".onnx" else None

    def __str__(self) -> str:
        engine = f"{self.engine or 'default engine'} {self.precision}"
        return f"{self.name}, {engine}, {self.threads} threads, batch {self.batch}"

    def measure(self, photos: Path, seconds: float) -> Measurement:
        """Measure the candidate once, in a process of its own.

        Args:
            photos: folder of photos.
            seconds: maximum time for timed calls.

        Raises:
            ProcessError: the process failed.
        """
        if isinstance(self.source, tuple):
            return measure_command(self.source, self.name, [photos], MOST_RUNS, self.threads, self.batch, seconds)
        options = (self.engine, self.precision, self.batch, seconds)
        return measure(self.source, [photos], MOST_RUNS, self.threads, *options, keep=True)


def list_candidates(
    artefacts: Sequence[Path],
    baselines: Sequence[str],
    engines: Sequence[str | None],
    precisions: Sequence[str],
    threads: Sequence[int],
    batches: Sequence[int],
) -> list[Candidate]:
    """Return every combination, baselines first, without engines that cannot run a file that another engine can.

    Args:
        artefacts: paths of artefacts.
        baselines: paths of artefacts, or commands, which are measured once for every number of threads.
        engines: names of engines; None for the runtime's choice.
        precisions: "f32" or "auto".
        threads: numbers of CPU threads.
        batches: numbers of photos in one call.
    """
    commands = [baseline for baseline in baselines if not _is_artefact(baseline)]
    models = [Path(baseline) for baseline in baselines if _is_artefact(baseline)]
    paths = list(dict.fromkeys([*models, *artefacts]))
    names = dict(zip(paths, short_names(paths), strict=True))
    return [
        *(
            Candidate(_command_name(command), _words(command), True, None, "f32", number, 1)
            for command, number in product(commands, threads)
        ),
        *(
            Candidate(names[path], path, path in models, engine, precision, number, batch)
            for path in paths
            for engine, precision, number, batch in product(_able(path, engines), precisions, threads, batches)
        ),
    ]


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return short unique names for paths: their parts without those that all paths share."""
    parts = [path.absolute().parts for path in paths]
    shared = set.intersection(*map(set, parts)) if parts else set()
    names = ["/".join(part for part in one if part not in shared) or one[-1] for one in parts]
    return names if len(set(names)) == len(names) else list(map(str, paths))


def _able(path: Path, engines: Sequence[str | None]) -> Sequence[str | None]:
    """Return the engines that can run a file, and unknown ones; all if none can, so that each reports its error."""
    model = _model(path)
    able = [
        engine for engine in engines if model is None or engine not in ENGINES or model.suffix in ENGINES[str(engine)]
    ]
    return able or engines


def _model(artefact: Path) -> Path | None:
    """Return an artefact's model file; None if it cannot be found, which loading it will report."""
    try:
        return find_model(artefact)
    except (FileNotFoundError, ArtefactError):
        return None


def _is_artefact(baseline: str) -> bool:
    return Path(baseline).exists() and not baseline.endswith(".py")


def _words(command: str) -> tuple[str, ...]:
    """Split a command into words; a bare script is run by this Python."""
    words = tuple(shlex.split(command))
    return (sys.executable, *words) if words[0].endswith(".py") else words


def _command_name(command: str) -> str:
    scripts = [Path(word).stem for word in shlex.split(command) if word.endswith(".py")]
    return scripts[0] if scripts else command
