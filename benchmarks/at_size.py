"""Export a network in fp32 and INT8 for another input size than in training, to measure its speed at that size.

    python benchmarks/at_size.py runs/NAME/student.json --size 512 --out DIR
    python benchmarks/at_size.py resnet101 --size 512 --out DIR     an untrained M2FP with the published architecture
    python benchmarks/at_size.py mobilenetv3 --student m2fp --out DIR         an untrained student for CIHP's parts
    python benchmarks/at_size.py efficientnet_lite0 --student fpn --width 64 --scale 0.75 --out DIR    sees 3/4
    python benchmarks/at_size.py mobilenetv3 --student m2fp --layers 3 --out DIR    with a heavier head
    python benchmarks/at_size.py resnet50 --prune 0.4 --size 512 --out DIR    40 % of its parameters pruned first

The script writes DIR/fp32 and DIR/int8 for `m2fp-kd benchmark`, and with --pytorch also DIR/torchscript and
DIR/torch_export. A few synthetic scenes calibrate INT8, which is enough to measure speed. Quality cannot be measured
this way, because the networks were neither trained at this size nor fine-tuned after pruning.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from m2fp_kd.checkpoints.network import load_network
from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.export.torch_export import export_torch_export
from m2fp_kd.compress.export.torchscript import export_torchscript
from m2fp_kd.compress.int8.static import quantise_static
from m2fp_kd.compress.prune.graph import Prunable
from m2fp_kd.compress.prune.pruning import Goal, measure, prune_untrained
from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.labels import LabelSet, load_label_set
from m2fp_kd.models.backbones import BACKBONES, build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.models.m2fp import build_m2fp
from m2fp_kd.models.m2fp_student import M2FPStudent
from m2fp_kd.runtime.artefact import Card, load_card
from m2fp_kd.runtime.geometry import CANVAS_MULTIPLE, Geometry, place

SCENES = 4


def load(options: argparse.Namespace) -> tuple[nn.Module, LabelSet]:
    """Load the network of a file, or build an untrained one for CIHP on the backbone that `options.network` names."""
    if options.network not in BACKBONES:
        saved = load_network(options.network)
        return saved.module, saved.labels
    torch.manual_seed(0)
    backbone, labels = build_backbone(options.network), load_label_set("cihp")
    if options.student == "fpn":
        return FPNStudent(backbone, labels.num_parts, options.width, options.scale).eval(), labels
    if options.student == "m2fp":
        head = {"queries": options.queries, "layers": options.layers}
        return M2FPStudent(backbone, labels.num_parts, labels.has_human, **head).eval(), labels
    return build_m2fp(backbone, labels.num_classes).eval(), labels


def main() -> None:
    command = argparse.ArgumentParser(description="Export a network for another input size, to measure its speed.")
    command.add_argument(
        "network", help=f"FILE.json of a run, or the backbone of an untrained M2FP: {', '.join(BACKBONES)}"
    )
    command.add_argument("--student", choices=["fpn", "m2fp"], help="an untrained student instead of an untrained M2FP")
    command.add_argument("--width", type=int, default=128, help="channels of the decoder of an untrained fpn student")
    command.add_argument("--scale", type=float, default=1.0, help="what an untrained fpn student sees of the canvas")
    command.add_argument("--layers", type=int, default=2, help="decoder layers of an untrained m2fp student")
    command.add_argument("--queries", type=int, default=100, help="queries of an untrained m2fp student")
    command.add_argument("--size", type=int, default=512, help="side of the square input")
    command.add_argument("--prune", type=float, default=0, metavar="SHARE", help="share of parameters to prune, 0..1")
    command.add_argument("--pytorch", action="store_true", help="also export TorchScript and torch.export")
    command.add_argument("--out", type=Path, required=True)
    options = command.parse_args()
    if options.size < CANVAS_MULTIPLE or options.size % CANVAS_MULTIPLE:
        command.error(f"--size must be a multiple of {CANVAS_MULTIPLE}")
    network, labels = load(options)
    if options.prune:
        goal = Goal("parameters", options.prune, measure(network, options.size, "parameters"))
        prune_untrained(cast(Prunable, network), options.size, goal)
    geometry = Geometry(options.size, fixed=True)
    head = "fpn" if isinstance(network, FPNStudent) else "m2fp"
    people = "persons" if head == "m2fp" and labels.has_human else "none"
    fp32, int8 = (options.out / precision / "model.onnx" for precision in ("fp32", "int8"))
    export_onnx(network, fp32, Card(labels.to_dict(), asdict(geometry), "fp32", head, people=people))
    scenes = (draw_scene(seed, options.size, (1, 3)).image for seed in range(SCENES))
    card = load_card(fp32)
    quantise_static(fp32, (place(scene, geometry)[0][None] for scene in scenes), int8, replace(card, precision="int8"))
    print(f"{fp32}\n{int8}")
    if options.pytorch:
        export_torchscript(network, options.out / "torchscript" / "model.pt", card)
        export_torch_export(network, options.out / "torch_export" / "model.pt2", card)


if __name__ == "__main__":
    main()
