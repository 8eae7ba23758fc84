"""`stage=pretrain` on two processes ends in the backbone and the scores of one process with the same batches."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from m2fp_kd.checkpoints.backbone import save_backbone
from m2fp_kd.data.synthetic import write_dataset
from m2fp_kd.distill.training.feature_pretraining import FeaturePretraining
from m2fp_kd.models.backbones import build_backbone
from tests.distill import two_processes
from tests.pipeline.stages.short_pretraining import keep_statistics, main, pretrain


@pytest.mark.filterwarnings("ignore")
def test_two_processes_pretrain_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path, "Training", range(13), 64)
    photos = tmp_path / "Training" / "Images"
    torch.manual_seed(5)
    weights = save_backbone(tmp_path / "resnet18.safetensors", build_backbone("resnet18"), {"backbone": "resnet18"})
    together, alone = tmp_path / "together", tmp_path / "alone"
    together.mkdir()
    two_processes.run(main, together, photos, weights)
    monkeypatch.setattr(FeaturePretraining, "on_fit_start", keep_statistics)
    scores = pretrain(alone, photos, weights, "data.batch_size=4", "trainer.devices=1")

    found, expected = (
        torch.load(folder / "run" / "checkpoints" / "last.ckpt", weights_only=True) for folder in (together, alone)
    )
    assert found["global_step"] == expected["global_step"] == 3
    assert_close(found["state_dict"], expected["state_dict"], atol=2e-6, rtol=1e-4)
    first, second = (torch.load(together / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    validation = {name: value for name, value in scores.items() if name.startswith("val/")}
    assert len(validation) > 3 and {name: first[name] for name in validation} == pytest.approx(validation, abs=1e-4)
    assert second == {}, "the first process scores and saves"
    saved, expected = (load_file(folder / "run" / "backbone.safetensors") for folder in (together, alone))
    assert saved.keys() == expected.keys()
    for name, value in expected.items():  # in half precision
        assert_close(saved[name].float(), value.float(), atol=1e-3, rtol=1e-3)
