"""``stage=cache``: fill the teacher's cache."""

from omegaconf import DictConfig

from m2fp_kd.pipeline.assemble.data import load_data
from m2fp_kd.pipeline.assemble.teacher import load_teacher


def cache_targets(cfg: DictConfig) -> dict[str, float]:
    """Fill the teacher's cache for the photos of the data; train nothing."""
    datamodule = load_data(cfg)
    load_teacher(cfg, datamodule)
    assert datamodule.cache is not None
    return {"cached": float(len(datamodule.cache.names))}
