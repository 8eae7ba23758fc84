"""The Hydra entry: `m2fp-kd train OVERRIDES` trains, distils, quantises and checks; `--help` explains the groups."""

import os
import sys

# OpenMP reads the policy once, when torch loads it. A passive thread yields its core while it waits; with other work
# on the machine, spinning threads slow training down tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from m2fp_kd.config import register_resolvers
from m2fp_kd.renamed import new_names
from m2fp_kd.shipped import conf_folder

register_resolvers()


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")
def train(cfg: DictConfig) -> float | None:
    """Run the stage that the composed configuration names.

    Returns:
        The student's or teacher's val/mIoU, 0..1, or a pretrained backbone's val/correlation, -1..1, which a sweep
        maximises; None where nothing was scored. A failed gate ends the program with exit code 1 and without a
        traceback, the limits that do not hold last.
    """
    # Lightning takes seconds to import; --help and a wrong override should not.
    from m2fp_kd.compress.parity import ParityError
    from m2fp_kd.pipeline import run

    try:
        scores = run(cfg)
    except ParityError as failed:
        if HydraConfig.get().mode == RunMode.MULTIRUN:  # exiting would end the other jobs
            raise
        print(failed, file=sys.stderr)
        sys.exit(1)
    return scores.get("val/mIoU", scores.get("val/correlation"))


def main() -> None:
    """Train with the overrides on the command line; options under an old name are accepted with a warning."""
    sys.argv[1:] = new_names(sys.argv[1:])
    train()


if __name__ == "__main__":
    main()
