"""Train, distil, quantise and check: `python train.py backbone=mobilenetv3`; `--help` explains the groups."""

import hydra
from omegaconf import DictConfig

from m2fp_kd.config import register_resolvers

register_resolvers()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float | None:
    from m2fp_kd.pipeline import run  # Lightning takes seconds to import; --help and a wrong override should not

    return run(cfg).get("val/mIoU")


if __name__ == "__main__":
    main()
