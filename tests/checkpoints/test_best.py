from pathlib import Path

import pytest
import torch

from m2fp_kd.checkpoints.best import load_best, load_student
from tests.compress.colour_student import ColourStudent


def _checkpoint(path: Path, student: torch.nn.Module, score: float, monitor: str = "val/mIoU") -> None:
    state = {f"student.{name}": value for name, value in student.state_dict().items()}
    state["objective.projection.weight"] = torch.zeros(1)
    torch.save({"state_dict": state, "callbacks": {f"ModelCheckpoint[{monitor}]": {"best_model_score": score}}}, path)


def test_the_best_epochs_network_and_score_are_loaded(tmp_path: Path) -> None:
    torch.manual_seed(1)
    trained, network = ColourStudent(), ColourStudent()
    with torch.no_grad():
        trained.classifier.bias.fill_(3)
    _checkpoint(tmp_path / "best.ckpt", trained, 0.6)
    assert load_best(network, tmp_path) == pytest.approx(0.6)
    assert torch.equal(network.classifier.bias, trained.classifier.bias)


def test_a_training_without_a_validation_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ended before its first validation, so no epoch has a val/mIoU; train longer"):
        load_best(ColourStudent(), tmp_path)


def test_the_score_is_the_one_that_chose_the_epoch(tmp_path: Path) -> None:
    network = ColourStudent()
    _checkpoint(tmp_path / "best.ckpt", network, 0.6, "val/correlation")
    assert load_best(network, tmp_path, "val/correlation") == pytest.approx(0.6)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"student.head.weight": torch.zeros(1)}}, tmp_path / "best.ckpt")
    with pytest.raises(RuntimeError, match=r"classifier\.weight[\s\S]*head\.weight"):
        load_student(ColourStudent(), tmp_path / "best.ckpt")
