"""Read mutated photos for a while: `make fuzz` or `python -m tests.hostile.fuzz --minutes 5`.

Every file must be read as a photo or refused as `PhotoError`, within the limits of time and memory. The seeds are whole
photos of all formats and the hostile ones of `images`; a mutation that is read in a new way becomes a seed as well.
"""

import argparse
import logging
import resource
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from m2fp_kd.runtime.geometry import read_photo
from m2fp_kd.runtime.photo_file import PhotoError
from tests.hostile import images

MEGAPIXELS = 20
SECONDS = 5
"""Longest time for one file."""

MEMORY = 2 << 30
"""Address space that the process may use beyond what it has at its start, in bytes."""

MOST_SEEDS = 500


def outcome(data: bytes) -> str:
    """Read a file and return what happened: "read", the cause of the refusal, or the name of any other error."""
    try:
        photo = read_photo(data, megapixels=MEGAPIXELS)
    except PhotoError as error:
        cause = error.__cause__ or error
        return f"refused: {type(cause).__name__}"
    except Exception as error:
        return f"DEFECT: {type(error).__name__}: {error}"
    return "read" if photo.dtype == np.uint8 and photo.ndim == 3 and photo.size else "DEFECT: no photo"


def fuzz(seconds: float, seed: int, keep: Path | None = None) -> Counter[str]:
    """Read mutated photos for some seconds.

    Args:
        seconds: length of the run.
        seed: of the mutations.
        keep: folder for the files that show a defect.

    Returns:
        Outcome -> number of files.
    """
    rng = np.random.default_rng(seed)
    seeds = [make() for make in images.SEEDS.values()] + [data for _, data in (*images.whole(), *images.broken())]
    seeds = [data for data in seeds if len(data) < 100_000]
    found: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = images.mutated(seeds[rng.integers(len(seeds))], rng)
        start = time.monotonic()
        result = outcome(data)
        if (took := time.monotonic() - start) > SECONDS:
            result = f"DEFECT: {took:.0f} seconds"
        if result not in found and len(seeds) < MOST_SEEDS:
            seeds.append(data)
        if keep is not None and result.startswith("DEFECT"):
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{sum(found.values())}.bin").write_bytes(data)
        found[result] += 1
    return found


def main() -> int:
    """Fuzz and print the outcomes; return 1 if a defect was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="folder for files that show a defect")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    found = fuzz(60 * options.minutes, options.seed, options.keep)
    print(f"{sum(found.values())} files in {options.minutes:g} minutes, seed {options.seed}")
    for result, count in found.most_common():
        print(f"{count:>9}  {result}")
    return int(any(result.startswith("DEFECT") for result in found))


if __name__ == "__main__":
    sys.exit(main())
