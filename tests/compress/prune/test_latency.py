"""The latency table: measuring, interpolating, and reading the file. Only one test times an engine."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import numpy_helper

from m2fp_kd.compress.prune.cost import Layer
from m2fp_kd.compress.prune.latency import LatencyTable, convolution_timer, open_table, timed_network
from m2fp_kd.compress.prune.step import Prune


class Stopwatch:
    """Return a convolution's multiply-accumulates as nanoseconds, and record the calls."""

    def __init__(self) -> None:
        self.asked: list[Layer] = []

    def __call__(self, layer: Layer) -> float:
        self.asked.append(layer)
        return layer.macs / 1e6


def dense(inputs: int, outputs: int) -> Layer:
    return Layer(inputs, outputs, 1, (3, 3), 2, (16, 16))


def depthwise(channels: int) -> Layer:
    return Layer(channels, channels, channels, (5, 5), 1, (8, 8))


def test_measurements_are_kept_in_the_file(tmp_path: Path) -> None:
    watch, path = Stopwatch(), tmp_path / "folder" / "table.json"
    first = LatencyTable(path, "this machine", watch).milliseconds(dense(64, 32))
    assert first == dense(64, 32).macs / 1e6 and watch.asked == [dense(64, 32)]
    again = LatencyTable(path, "this machine", watch)
    assert again.milliseconds(dense(64, 32)) == first and len(watch.asked) == 1
    assert json.loads(path.read_text())["milliseconds"] == {"3x3 stride 2 groups 1: 64 -> 32 at 16x16": first}


def test_milliseconds_between_nodes_are_bilinear(tmp_path: Path) -> None:
    watch = Stopwatch()
    table = LatencyTable(tmp_path / "table.json", "this machine", watch)
    # Multiply-accumulates are bilinear in the channels: interpolating them is exact.
    assert table.milliseconds(dense(40, 72)) == pytest.approx(dense(40, 72).macs / 1e6)
    assert {(layer.inputs, layer.outputs) for layer in watch.asked} == {(32, 64), (48, 64), (32, 96), (48, 96)}


def test_depthwise_convolutions_have_one_axis(tmp_path: Path) -> None:
    watch = Stopwatch()
    table = LatencyTable(tmp_path / "table.json", "this machine", watch)
    assert table.milliseconds(depthwise(80)) == pytest.approx(depthwise(80).macs / 1e6)
    assert watch.asked == [depthwise(64), depthwise(96)]


def test_channels_outside_the_nodes_are_measured_directly(tmp_path: Path) -> None:
    watch = Stopwatch()
    LatencyTable(tmp_path / "table.json", "this machine", watch).milliseconds(dense(3, 3000))
    assert watch.asked == [dense(3, 3000)]


def test_a_table_of_another_machine_or_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    LatencyTable(path, "this machine", Stopwatch()).milliseconds(dense(8, 8))
    with pytest.raises(ValueError, match=r"measured with this machine, not that machine; name another file"):
        LatencyTable(path, "that machine", Stopwatch())
    text = path.read_text()
    without_times = (text.replace('"milliseconds"', '"seconds"'), text.replace('16x16": ', '16x16": null, "1x1": '))
    for broken in (*without_times, "\udcff"):
        path.write_text(broken, errors="surrogateescape")
        with pytest.raises(ValueError, match=r"table\.json .*delete it to measure the table again"):
            LatencyTable(path, "this machine", Stopwatch())
    path.write_text("{}")
    with pytest.raises(ValueError, match="is not a latency table"):
        LatencyTable(path, "this machine", Stopwatch())
    path.write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        LatencyTable(path, "this machine", Stopwatch())


def test_a_step_refuses_the_table_of_another_machine_before_training(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    LatencyTable(path, "another machine", Stopwatch()).milliseconds(dense(8, 8))
    with pytest.raises(ValueError, match="was measured with another machine"):
        Prune(quantity="milliseconds", latency_table=str(path)).check(torch.nn.Identity(), 64)


@pytest.mark.parametrize(
    "layer", [dense(8, 16), Layer(16, 16, 16, (3, 3), 2, (5, 7)), Layer(3, 8, 1, (1, 1), 1, (4, 4)), None]
)
def test_the_timed_network_computes_the_convolution(layer: Layer | None) -> None:
    channels, size = (8, (6, 6)) if layer is None else (layer.inputs, tuple(layer.stride * s for s in layer.size))
    features = np.random.default_rng(1).random((1, channels, *size), np.float32)
    model = timed_network(channels, size, layer)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"images": features})
    expected = 0.5 * torch.from_numpy(features)
    if layer is not None:
        weight = torch.from_numpy(numpy_helper.to_array(model.graph.initializer[1]).copy())
        around = layer.kernel[0] - layer.stride if layer.kernel[0] > 1 else 0  # SAME_UPPER: the odd pixel goes below
        before, after = around // 2, around - around // 2
        padded = F.pad(expected, (before, after, before, after))
        expected = F.conv2d(padded, weight, stride=layer.stride, groups=layer.groups)
        assert expected.shape[1:] == (layer.outputs, *layer.size)
    np.testing.assert_allclose(result, expected.mean(dim=(2, 3), keepdim=True).numpy(), atol=1e-4)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_real_engine_times_a_convolution(engine: str) -> None:
    assert convolution_timer(engine, threads=1)(Layer(64, 64, 1, (3, 3), 1, (32, 32))) > 0


def test_a_table_records_its_engine_and_machine(tmp_path: Path) -> None:
    setting = open_table(tmp_path / "table.json", "onnxruntime", threads=1).setting
    assert setting.startswith(f"onnxruntime {onnxruntime.__version__}, f32, 1 threads, ")
