"""``stage=cache``: fill the teacher's cache."""

from hydra.utils import instantiate
from omegaconf import DictConfig

from m2fp_kd.pipeline.assemble.teacher import load_teacher


def cache_targets(cfg: DictConfig) -> dict[str, float]:
    """Fill the teacher's cache for the photos of the data; train nothing."""
    if cfg.teacher.mode != "cached" or cfg.teacher.checkpoint is None:
        raise ValueError("stage=cache needs teacher=cached teacher.checkpoint=FILE")
    datamodule = instantiate(cfg.data.module)
    load_teacher(cfg, datamodule)
    return {"cached": float(len(datamodule.cache.names))}
