"""The check that a GPU learns what a CPU learns, on a CPU."""

import pytest
import torch
from torch import nn

from benchmarks.gpu import TOLERANCE, gradient_difference, main
from benchmarks.prepared import composed, prepared

SMALL = ["teacher=none", "distill=labels", "data.size=64", "data.batch_size=2", "data.module.limit=4"]


def test_gradients_agree_only_where_the_same_is_computed() -> None:
    module, datamodule = prepared(composed([*SMALL, "backbone=mobilenetv3_small", "backbone.weights=null"]))
    cpu = torch.device("cpu")
    assert gradient_difference(module, datamodule, cpu) == 0
    module.student.classifier = nn.Sequential(nn.Dropout(0.1), module.student.classifier)
    assert gradient_difference(module, datamodule, cpu) > TOLERANCE


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_error_names_the_way_to_try_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "PyTorch finds no GPU here; --device cpu tries the script" in capsys.readouterr().err
