"""A run folder belongs to its settings."""

from pathlib import Path

import pytest

from m2fp_kd.pipeline.record.run_folder import claim
from tests.pipeline.conftest import Composer

OLD_NAMES = {"anneal:": "fade:", "tta:": "ensemble:", "median_stopping:": "stop_hopeless:", "losses.ce.Ce": "HardParts"}


def test_a_run_with_old_option_names_is_resumed_only_with_equal_settings(composed: Composer) -> None:
    cfg = composed("distill=best", "distill.anneal=0.5")
    claim(cfg)
    file = Path(cfg.run_dir) / "config.yaml"
    settings = file.read_text()
    for new, old in OLD_NAMES.items():
        assert new in settings
        settings = settings.replace(new, old)
    file.write_text(settings)
    with pytest.raises(ValueError, match=r"belongs to other settings \(distill\.anneal: 0\.5 -> 0\.6; distill\.terms"):
        claim(composed("distill=best", "distill.anneal=0.6"))
    claim(cfg)
    assert "anneal" in file.read_text()
