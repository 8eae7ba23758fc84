"""Compare the answers of artefacts on an emulated Arm CPU with those on this machine."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arm64.emulator import REPOSITORY, Emulator
from m2fp_kd.runtime.artefact import find_model, load_card

LIMITS = {"fp32": 0.9999, "int8": 0.995}
"""Precision -> smallest share of pixels that must have the same part."""

LOGITS = {"fp32": 1e-3}
"""Precision -> largest error of logits, relative to their standard deviation; INT8 has no limit."""

Answers = Mapping[str, NDArray]
"""Names of outputs and their arrays, as `answers.py` writes them."""


@dataclass(frozen=True)
class Parity:
    """Agreement of one artefact on two CPUs, over all photos.

    Attributes:
        engine: engine that ran it on the second CPU.
        precision: "fp32" or "int8".
        pixels: share of all pixels with the same part, 0..1.
        worst: the same in the photo with the smallest share.
        logits: root mean square difference of all outputs, relative to their standard deviation.
        shown: share of pixels in which the first CPU found another part than the commonest one, 0..1. Where it is 0, a
            network that has learnt nothing would agree as well.
        seconds: processor time of a photo on the second CPU.
    """

    engine: str
    precision: str
    pixels: float
    worst: float
    logits: float
    shown: float
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the parity is within the limits, and says anything."""
        return self.shown > 0 and self.pixels >= LIMITS[self.precision] and self.logits <= LOGITS.get(self.precision, 1)


def answers(
    artefacts: Sequence[Path], photos: Sequence[Path], engines: Sequence[str], python: Sequence[str], **how: Any
) -> Answers:
    """Run `answers.py` in a process of its own.

    Args:
        artefacts: model files or folders.
        photos: photos to parse.
        engines: engine of each artefact; "-" for the one that the runtime prefers on that CPU.
        python: words that start Python, such as `Emulator.python`.
        how: further arguments of `subprocess.run`.

    Raises:
        CalledProcessError: an artefact could not be run.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "answers.npz"
        words = [*python, str(Path(__file__).with_name("answers.py")), *map(str, artefacts), f"--write={file}"]
        words += ["--photos", *map(str, photos), "--engines", *engines]
        subprocess.run(words, check=True, cwd=REPOSITORY, **how)
        with np.load(file) as found:
            return dict(found)


def compare(
    artefacts: Sequence[Path], photos: Sequence[Path], cpus: Sequence[str], engine: str | None, emulator: Emulator
) -> dict[str, list[Parity]]:
    """Return the parity of each artefact on each emulated CPU with this machine, in the same engine.

    Args:
        artefacts: model files or folders, relative to the repository or absolute.
        photos: photos to parse, likewise.
        cpus: CPUs, as QEMU names them.
        engine: engine to use; None for the one that the runtime prefers on Arm.
        emulator: the emulator, prepared.
    """
    wanted = [engine or "-"] * len(artefacts)
    there = {cpu: answers(artefacts, photos, wanted, emulator.python(cpu), env=emulator.environment()) for cpu in cpus}
    engines = [str(there[cpus[0]][f"engine/{index}"]) for index in range(len(artefacts))]
    here = answers(artefacts, photos, engines, [sys.executable])
    precisions = [load_card(find_model(artefact)).precision for artefact in artefacts]
    return {
        cpu: [parity(here, found, index, precision) for index, precision in enumerate(precisions)]
        for cpu, found in there.items()
    }


def parity(here: Answers, there: Answers, artefact: int, precision: str) -> Parity:
    """Compare the answers of one artefact, given by its number."""
    keys = [key.split("/") for key in here if key.split("/")[1:2] == [str(artefact)]]
    maps = ["/".join(key) for key in keys if key[0] == "map"]
    outputs = ["/".join(key) for key in keys if key[0] not in ("map", "engine", "seconds")]
    same = [here[key] == there[key] for key in maps]
    parts = np.bincount(np.concatenate([here[key].ravel() for key in maps]))
    errors = [_error(here[key], there[key]) for key in outputs]
    return Parity(
        engine=str(there[f"engine/{artefact}"]),
        precision=precision,
        pixels=float(np.concatenate([one.ravel() for one in same]).mean()),
        worst=min(float(one.mean()) for one in same),
        logits=max(errors, default=0.0),
        shown=1 - float(parts.max() / parts.sum()),
        seconds=float(there[f"seconds/{artefact}"]),
    )


def _error(here: NDArray, there: NDArray) -> float:
    """Return the root mean square difference relative to the standard deviation."""
    return float(np.sqrt(np.square(here - there).mean()) / here.std())
