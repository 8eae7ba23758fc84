"""Draw a data set of synthetic scenes in M2FP's layout: `python -m m2fp_kd.data.synthetic data/sample`."""

import argparse
from pathlib import Path

from m2fp_kd.data.synthetic import write_dataset

# First seed of the validation scenes, far from those of the training scenes.
VALIDATION_SEEDS = 10_000_000


def main() -> None:
    """Write `Training` and `Validation`."""
    command = argparse.ArgumentParser(description="Draw synthetic scenes with CIHP's parts, in M2FP's layout.")
    command.add_argument("folder", type=Path)
    command.add_argument("--training", type=int, default=440, help="scenes to train on (default 440)")
    command.add_argument("--validation", type=int, default=100, help="scenes to validate on (default 100)")
    command.add_argument("--size", type=int, default=160, help="side in pixels (default 160)")
    options = command.parse_args()
    write_dataset(options.folder, "Training", range(options.training), options.size)
    write_dataset(
        options.folder, "Validation", range(VALIDATION_SEEDS, VALIDATION_SEEDS + options.validation), options.size
    )


if __name__ == "__main__":
    main()
