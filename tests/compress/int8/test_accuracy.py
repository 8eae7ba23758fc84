from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from torch import nn

from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.int8.accuracy import AccuracyControl, Bounds, Drops, _search, quantise_with_accuracy_control
from m2fp_kd.compress.int8.float_layers import quantised_layers
from m2fp_kd.data.reading import Photo
from m2fp_kd.evaluation.metrics.evaluate import evaluate
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.parser import Parser
from tests.compress.colour_student import COLOURS, canvases, rectangles
from tests.compress.unbalanced import unbalanced

SPOILT = "/student/layers/layers.3/Conv"
"""Layer that reads the activations of channels with unequal sizes."""


@pytest.fixture(scope="module")
def hurt(student: nn.Module, card: Card, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export in fp32 a student that loses accuracy in INT8 because of one layer."""
    path = tmp_path_factory.mktemp("hurt") / "model.onnx"
    export_onnx(unbalanced(student, 300), path, card)
    return path


def _control(hurt: Path, card: Card, file: Path, bounds: Bounds, photos: Iterable[Photo], **options) -> AccuracyControl:
    batches = canvases(range(200, 208))
    return quantise_with_accuracy_control(
        hurt, batches, file, replace(card, precision="int8"), photos, bounds, ranking_photos=3, threads=1, **options
    )


def _drops(fp32: Path, int8: Path, photos: list[Photo]) -> Drops:
    """Measure the losses again from the files."""
    before, after = (evaluate(Parser.load(path, threads=1).part_map, photos, COLOURS) for path in (fp32, int8))
    parts = {part: 100 * (before.iou[part] - after.iou[part]) for part in COLOURS.parts}
    return Drops(100 * (before.miou - after.miou), parts)


def test_only_the_harmful_layer_is_left_in_fp32(hurt: Path, card: Card, photos: list[Photo], tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    bounds = Bounds(max_miou_drop=2.0, max_part_drop=4.0)
    control = _control(hurt, card, file, bounds, photos)
    assert list(control.float_layers) == [SPOILT]
    assert control.float_layers[SPOILT] > 5
    assert control.held and not bounds.broken(control.after)
    assert bounds.excess(control.before) > 5
    measured = _drops(hurt, file, photos)
    assert control.after.miou == pytest.approx(measured.miou)
    assert control.after.parts == pytest.approx(measured.parts)
    layers = quantised_layers(onnx.load(file))
    assert SPOILT not in layers
    assert "/student/layers/layers.6/Conv" in layers
    assert SPOILT in str(control) and "bounds hold" in str(control)


def test_a_student_within_bounds_is_quantised_completely(
    fp32: Path, card: Card, int8: Path, photos: list[Photo], tmp_path: Path
) -> None:
    control = quantise_with_accuracy_control(
        fp32, canvases(range(200, 216)), tmp_path / "model.onnx", replace(card, precision="int8"), photos,
        Bounds(max_miou_drop=5.0), threads=1,
    )  # fmt: skip
    assert control.held and not control.float_layers and control.evaluations == 1
    assert control.before == control.after
    layers = quantised_layers(onnx.load(int8))
    assert quantised_layers(onnx.load(tmp_path / "model.onnx")) == layers


def test_without_labels_the_fp32_network_is_the_truth(hurt: Path, card: Card, tmp_path: Path) -> None:
    unlabelled = [replace(rectangles(seed), parts=None) for seed in range(4)]
    control = _control(hurt, card, tmp_path / "model.onnx", Bounds(max_miou_drop=3.0), unlabelled)
    assert control.held and SPOILT in control.float_layers
    assert control.before.miou > 3.0


def test_bounds_that_cannot_hold_give_the_best_file_found(
    hurt: Path, card: Card, photos: list[Photo], tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    control = _control(hurt, card, file, Bounds(max_miou_drop=-100.0), photos[:4])
    assert not control.held
    assert "do not hold" in str(control)
    assert control.after.miou < control.before.miou
    assert _drops(hurt, file, photos[:4]).miou == pytest.approx(control.after.miou)


def test_the_cap_on_evaluations_is_kept_by_ranking_neighbours_together(
    hurt: Path, card: Card, photos: list[Photo], tmp_path: Path
) -> None:
    control = _control(
        hurt, card, tmp_path / "model.onnx", Bounds(max_miou_drop=2.0), photos[:4], max_evaluations=10
    )  # fmt: skip
    assert control.evaluations <= 10
    assert SPOILT in control.float_layers
    with pytest.raises(ValueError, match="max_evaluations=4 leaves none"):
        _control(hurt, card, tmp_path / "other.onnx", Bounds(max_miou_drop=2.0), photos[:4], max_evaluations=4)


def test_unknown_parts_and_missing_photos_are_errors(hurt: Path, card: Card, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"bounds name \['hat'\].*background, red"):
        _control(hurt, card, tmp_path / "model.onnx", Bounds(1.0, 1.0, ("red", "hat")), [rectangles(0)])
    with pytest.raises(ValueError, match="no photos"):
        _control(hurt, card, tmp_path / "model.onnx", Bounds(1.0), [])
    assert not (tmp_path / "model.onnx").exists()


def test_bounds_apply_to_named_parts_only() -> None:
    drops = Drops(0.4, {"arm": 3.0, "leg": 1.0})
    assert Bounds(0.5).broken(drops) == {}
    assert Bounds(0.1).broken(drops) == {"mIoU": pytest.approx(0.3)}
    assert Bounds(0.5, 0.5).broken(drops) == {"arm": 2.5, "leg": 0.5}
    assert Bounds(0.5, 0.5, ("leg",)).broken(drops) == {"leg": 0.5}
    assert Bounds(0.5, 0.5, ("absent",)).broken(drops) == {}
    assert Bounds(0.5, 0.5).excess(drops) == 2.5
    assert Bounds(0.5).excess(drops) == 0.0


@pytest.mark.parametrize("needed", [1, 2, 3, 7, 12, 20])
def test_the_search_finds_the_least_number_of_layers(needed: int) -> None:
    tried = _search(lambda count: Drops(1.0 if count < needed else 0.0, {}), 20, Bounds(0.5), budget=100)
    assert tried[needed].miou == 0.0
    assert needed == 1 or tried[needed - 1].miou == 1.0
    assert len(tried) <= 10
    np.testing.assert_array_less([count for count, drops in tried.items() if drops.miou], needed)


def test_the_search_stops_at_its_budget() -> None:
    tried = _search(lambda count: Drops(1.0, {}), 1000, Bounds(0.5), budget=4)
    assert list(tried) == [1, 2, 4, 8]
