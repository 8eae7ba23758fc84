"""Train, distil, quantise and check: `python train.py backbone=mobilenetv3`; `--help` explains the groups."""

import os
import sys

# OpenMP reads it once. A thread that waits gives its core away: where other work runs on the machine, threads that
# spin instead slow training down tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hydra
from omegaconf import DictConfig

from m2fp_kd.config import register_resolvers
from m2fp_kd.renamed import new_names

register_resolvers()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float | None:
    from m2fp_kd.pipeline import run  # Lightning takes seconds to import; --help and a wrong override should not

    return run(cfg).get("val/mIoU")


if __name__ == "__main__":
    sys.argv[1:] = new_names(sys.argv[1:])
    main()
