"""Measure what changes of an untrained MobileNetV3 `fpn` would save, and profile INT8 files by kinds of operations.

    python benchmarks/network_time.py                                              what each change saves
    python benchmarks/network_time.py --profile src/m2fp_kd/demo/model.onnx ...    shares of the operations of files

Static INT8 in OpenVINO, f32 besides, one thread, CIHP's 20 parts, at 512x512. Changes are compared by the CPU time of
this process, in turns, so that other programs disturb all alike. Quality is not measured: nothing is trained.
"""

import argparse
import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.int8.static import quantise_static
from m2fp_kd.compress.prune.pruning import Goal, measure, prune_untrained
from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.labels import load_label_set
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.models.outputs import StudentOutput
from m2fp_kd.runtime.artefact import Card, load_card
from m2fp_kd.runtime.engines.openvino import openvino  # without telemetry
from m2fp_kd.runtime.geometry import Geometry, place

SIZE, SCENES = 512, 2
WARM_UP, TURNS, CALLS, PROFILED = 3, 25, 4, 60
LABELS = load_label_set("cihp")
CHANNELS_LAST = "logits with channels last"
LITE0 = "EfficientNet-Lite0 `fpn`, decoder 64 channels wide"
SCALES = {LITE0: 1.0, f"{LITE0}, sees 3/4 of the canvas": 0.75, f"{LITE0}, sees 5/8": 0.625}
"""Networks by the scale at which they see the canvas."""

KINDS = {
    "logits to planes": r"Result|Transpose",
    "resampling": r"Resize|Interpolate",
    "squeeze-excite": r"/se/",
    "decoder at stride 4": r"decoder/(laterals|refinements)\.0|classifier",
    "decoder, coarser": r"decoder",
    "stem": r"conv_stem",
    "backbone, depthwise": r"conv_dw",
    "backbone, pointwise": r"conv_pwl?/|blocks\.6|conv_head",
}
"""Kind -> pattern in an operation's name; the first that occurs counts, and the rest are sums, scalings and copies."""


class AtStride8(FPNStudent):
    """A student whose decoder ends at stride 8, and so do its logits."""

    def __init__(self) -> None:
        super().__init__(build_backbone("mobilenetv3"), LABELS.num_parts)
        del self.decoder.laterals[0], self.decoder.refinements[0]

    def forward(self, images: Tensor) -> StudentOutput:
        """Predict part logits (B, P, H / 8, W / 8)."""
        features = self.decoder(self.backbone(self.normalise(images))[1:])[0]
        return StudentOutput(part_logits=self.classifier(features), features=features)


def student(backbone: str = "mobilenetv3", width: int = 128, scale: float = 1.0) -> FPNStudent:
    """Return an untrained student."""
    return FPNStudent(build_backbone(backbone), LABELS.num_parts, width, scale)


def with_layers(kind: str, change: Callable[[nn.Module], nn.Module]) -> FPNStudent:
    """Return a student whose layers of a class, by its name, are changed."""
    network = student()
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child).__name__ == kind:
                setattr(module, name, change(child))
    return network


def dense_up_to(channels: int) -> FPNStudent:
    """Return a student whose backbone has dense convolutions where depthwise ones have few channels."""

    def dense(layer: nn.Module) -> nn.Module:
        if not isinstance(layer, nn.Conv2d) or not 1 < layer.groups <= channels:
            return layer
        shape = layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding
        return nn.Conv2d(*shape, bias=False)

    return with_layers("Conv2d", dense)


def without_refinement() -> FPNStudent:
    """Return a student that does not refine the sum at stride 4."""
    network = student()
    network.decoder.refinements[0] = nn.Identity()
    return network


def pruned(reduction: float = 0.35) -> FPNStudent:
    """Return a student without a share of its multiplications, pruned by L1."""
    network = student()
    prune_untrained(network, SIZE, Goal("macs", reduction, measure(network, SIZE, "macs")))
    return network


NETWORKS: dict[str, Callable[[], FPNStudent]] = {
    "MobileNetV3 `fpn`": student,
    "no squeeze-excite": lambda: with_layers("SqueezeExcite", lambda _: nn.Identity()),
    "ReLU in place of hard-swish": lambda: with_layers("Hardswish", lambda _: nn.ReLU()),
    "dense convolutions for depthwise ones of 16 channels": lambda: dense_up_to(16),
    "dense convolutions for depthwise ones of up to 72 channels": lambda: dense_up_to(72),
    "decoder 96 channels wide": lambda: student(width=96),
    "decoder 64 channels wide": lambda: student(width=64),
    "no refinement at stride 4": without_refinement,
    "logits at stride 8": AtStride8,
    "pruned to 65 % of its multiplications": pruned,
    "MobileNetV3-Small `fpn`": lambda: student("mobilenetv3_small"),
    "EfficientNet-Lite0 `fpn`": lambda: student("efficientnet_lite0"),
    **{name: partial(student, "efficientnet_lite0", 64, scale) for name, scale in SCALES.items()},
}


def quantised(network: FPNStudent, folder: Path) -> Path:
    """Export a network in INT8; return the file."""
    geometry = Geometry(SIZE, fixed=True)
    card = Card(LABELS.to_dict(), asdict(geometry), "fp32", "fpn")
    fp32, int8 = folder / "fp32" / "model.onnx", folder / "int8" / "model.onnx"
    export_onnx(network, fp32, card)
    scenes = (place(draw_scene(seed, SIZE, (1, 3)).image, geometry)[0][None] for seed in range(SCENES))
    quantise_static(fp32, scenes, int8, replace(load_card(fp32), precision="int8"))
    return int8


def compiled(file: Path, channels_last: bool = False, counters: bool = False) -> openvino.InferRequest:
    """Compile a file down to its logits, as the runtime does."""
    model = openvino.Core().read_model(file)
    logits = model.output("part_logits").node.input_value(0)
    if channels_last:
        logits = openvino.opset13.transpose(logits, [0, 2, 3, 1]).output(0)
    model = openvino.Model([openvino.opset13.result(logits)], model.get_parameters())
    model.reshape([1, SIZE, SIZE, 3])
    settings = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False, "INFERENCE_PRECISION_HINT": "f32"}
    settings |= {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1, "PERF_COUNT": counters}
    return openvino.Core().compile_model(model, "CPU", settings).create_infer_request()


def cpu_milliseconds(requests: dict[str, openvino.InferRequest]) -> dict[str, np.ndarray]:
    """Return the CPU milliseconds of a call of each network in each turn."""
    photo = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)
    found = defaultdict(list)
    for turn in range(WARM_UP + TURNS):
        for name, request in requests.items():
            start = time.process_time()
            for _ in range(CALLS):
                request.infer({0: photo})
            if turn >= WARM_UP:
                found[name].append(1000 * (time.process_time() - start) / CALLS)
    return {name: np.array(times) for name, times in found.items()}


def shares(file: Path) -> dict[str, float]:
    """Return the median milliseconds of each kind of operation."""
    request, sums, steps = compiled(file, counters=True), defaultdict(float), defaultdict(list)
    for call in range(1, PROFILED + 1):
        request.infer({0: np.zeros((1, SIZE, SIZE, 3), np.uint8)})
        for one in request.profiling_info:
            total = call * 1000 * one.real_time.total_seconds()  # OpenVINO gives the mean of all calls
            steps[one.node_name].append(total - sums[one.node_name])
            sums[one.node_name] = total
    found = dict.fromkeys([*KINDS, "sums, scalings, copies"], 0.0)
    for name, times in steps.items():
        kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), "sums, scalings, copies")
        found[kind] += max(0.0, float(np.median(times)))
    return found


def main() -> None:
    command = argparse.ArgumentParser(description="Measure where an INT8 network's time goes and what would save some.")
    command.add_argument("--profile", type=Path, nargs="+", metavar="FILE", help="INT8 files of 512 pixels to profile")
    options = command.parse_args()
    if options.profile:
        for file in options.profile:
            times = shares(file)
            print(f"{file}: {sum(times.values()):.1f} ms")
            for kind, milliseconds in times.items():
                print(f"| {kind} | {milliseconds:.2f} | {100 * milliseconds / sum(times.values()):.0f} % |")
        return
    with TemporaryDirectory() as folder:
        files, requests = {}, {}
        for number, (name, build) in enumerate(NETWORKS.items()):
            torch.manual_seed(0)
            files[name] = quantised(build().eval(), Path(folder) / str(number))
            requests[name] = compiled(files[name])
        first = next(iter(files))
        requests[CHANNELS_LAST] = compiled(files[first], channels_last=True)
        times = cpu_milliseconds(requests)
    print("| change | CPU ms, median | minimum | saved |\n|---|---|---|---|")
    for name, values in times.items():
        saved = np.median(1 - values / times[first])
        print(f"| {name} | {np.median(values):.2f} | {values.min():.2f} | {100 * saved:.0f} % |")


if __name__ == "__main__":
    main()
