"""Our M2FP beside ModelScope's own, network and post-processing, same weights, same photo, one process, taking turns.

    python benchmarks/reference.py --sizes 256 512 --threads 2

Needs ModelScope in the environment; it asks for it if it is missing. Times depend on the machine; the ratios travel.
"""

import argparse
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.checkpoints.modelscope import load_m2fp_checkpoint
from m2fp_kd.labels import load_label_set
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fold import fold_batch_norm
from m2fp_kd.models.m2fp import M2FP, build_m2fp
from m2fp_kd.runtime.geometry import Placement
from m2fp_kd.runtime.persons import instances, paste

PARTS, QUERIES = 20, 100
INSTANCE_THRESHOLD, PASTE_THRESHOLD = 0.1, 0.3
INSTALL = "pip install modelscope addict attrs einops simplejson sortedcontainers opencv-python-headless modelscope-hub"
FEATURES = ["res2", "res3", "res4", "res5"]


def configuration() -> dict[str, Any]:
    """The published multi-person configuration with ResNet-101; fresh, because the reference empties what it reads."""
    return {
        "backbone": {
            "out_features": FEATURES,
            "depth": 101,
            "num_groups": 1,
            "width_per_group": 64,
            "norm": "BN",
            "stem_out_channels": 128,
            "res2_out_channels": 256,
            "stride_in_1x1": False,
            "res4_dilation": 1,
            "res5_dilation": 1,
            "res5_multi_grid": [1, 1, 1],
        },
        "encoder": {
            "in_features": FEATURES,
            "transformer_dropout": 0.0,
            "transformer_nheads": 8,
            "transformer_dim_feedforward": 1024,
            "transformer_enc_layers": 6,
            "conv_dim": 256,
            "mask_dim": 256,
            "transformer_in_features": FEATURES[1:],
            "common_stride": 4,
        },
        "decoder": {
            "mask_classification": True,
            "num_classes": PARTS + 1,
            "hidden_dim": 256,
            "num_queries": QUERIES,
            "nheads": 8,
            "dim_feedforward": 2048,
            "dec_layers": 9,
            "pre_norm": False,
            "mask_dim": 256,
            "enforce_input_project": False,
        },
        "num_parsing": PARTS,
        "single_human": False,
        "parsing_on": True,
        "semantic_on": False,
        "parsing_ins_score_thr": PASTE_THRESHOLD,
    }


def sample_deformably(
    value: Tensor, spatial_shapes: Tensor, sampling_locations: Tensor, attention_weights: Tensor
) -> Tensor:
    """What the reference takes from mmcv: weighted sums of bilinear samples from several levels.

    Args:
        value: (B, S, heads, D).
        spatial_shapes: (levels, 2), height and width.
        sampling_locations: (B, queries, heads, levels, points, 2), x and y in 0..1.
        attention_weights: (B, queries, heads, levels, points).

    Returns:
        (B, queries, heads * D).
    """
    batch, _, heads, depth = value.shape
    queries = sampling_locations.shape[1]
    grids = (2 * sampling_locations - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)
    sizes = [(int(height), int(width)) for height, width in spatial_shapes]
    samples = []
    for tokens, grid, size in zip(value.split([h * w for h, w in sizes], dim=1), grids, sizes, strict=True):
        level = tokens.permute(0, 2, 3, 1).reshape(batch * heads, depth, *size)
        samples.append(F.grid_sample(level, grid, mode="bilinear", padding_mode="zeros", align_corners=False))
    weights = attention_weights.transpose(1, 2).reshape(batch * heads, 1, queries, -1)
    summed = (torch.cat(samples, dim=-1) * weights).sum(-1)
    return summed.view(batch, heads * depth, queries).transpose(1, 2)


def reference_network() -> nn.Module:
    """ModelScope's network with random weights; mmcv, of which it uses one function, is stood in for."""
    stub = types.ModuleType("mmcv.ops.multi_scale_deform_attn")
    stub.multi_scale_deformable_attn_pytorch = sample_deformably
    stub.MultiScaleDeformableAttnFunction = None  # the CUDA way
    sys.modules.update(
        {"mmcv": types.ModuleType("mmcv"), "mmcv.ops": types.ModuleType("mmcv.ops"), stub.__name__: stub}
    )
    try:
        from modelscope.models.cv.image_human_parsing.m2fp_net import M2FP as Reference
    except ImportError as error:
        raise SystemExit(
            f"ModelScope's M2FP cannot be imported ({error}). Install it, best in an environment of its own:\n"
            f"    {INSTALL}"
        ) from error
    classes = [*load_label_set("cihp").parts, "Human"]
    return Reference(model_dir=".", classes=classes, **configuration()).eval()


def our_network(reference: nn.Module) -> M2FP:
    """Our M2FP with the reference's weights, through a checkpoint of its format."""
    network = build_m2fp(build_backbone("resnet101"), num_classes=PARTS + 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pytorch_model.pt"
        torch.save({"model": reference.state_dict()}, path)
        load_m2fp_checkpoint(network, path)
    fold_batch_norm(network.eval())  # as every frozen teacher runs
    return network


def two_persons(size: int) -> tuple[Tensor, Tensor]:
    """Predictions as of a trained network on a photo of two persons: 12 parts each, and `Human`, and background.

    Returns:
        class_logits (1, Q, C + 1) and mask_logits (1, Q, size / 4, size / 4).
    """
    generator = torch.Generator().manual_seed(0)
    side = size // 4
    y, x = torch.meshgrid(*[torch.linspace(0, 1, side)] * 2, indexing="ij")
    classes = torch.randn(1, QUERIES, PARTS + 2, generator=generator)
    classes[..., -1] += 8
    masks = torch.full((1, QUERIES, side, side), -8.0) + torch.randn(1, QUERIES, side, side, generator=generator)
    ellipses = [(0, 0.5, 0.5, 2.0, 2.0)]
    for centre in (0.3, 0.7):
        ellipses.append((PARTS, centre, 0.5, 0.18, 0.45))
        ellipses += [(1 + part, centre + 0.1 * (part % 3 - 1), 0.1 + 0.07 * part, 0.08, 0.06) for part in range(12)]
    for query, (category, cx, cy, rx, ry) in enumerate(ellipses):
        classes[0, query, category] += 16
        masks[0, query] += 16 * torch.exp(-(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) * 0.7)
    return classes, masks


def our_postprocessing(class_logits: np.ndarray, mask_logits: np.ndarray, size: int) -> np.ndarray:
    """Part and person instances with their masks, and the pasted part map."""
    placement = Placement((size, size), (size, size), (size, size))
    found = list(instances(class_logits, mask_logits, placement, range(PARTS + 1), INSTANCE_THRESHOLD))
    for instance in found:
        instance.mask((size, size))
    parts = [instance for instance in found if instance.category < PARTS and instance.score >= PASTE_THRESHOLD]
    return paste(parts, (size, size))[0]


def take_turns(repeats: int, *functions: Callable[[], object]) -> list[float]:
    """Median seconds of each function; every round calls all of them once, after one round of warming up."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(repeats + 1):
        for seconds, function in zip(times, functions, strict=True):
            start = time.perf_counter()
            function()
            if turn:
                seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in times]


@torch.no_grad()
def compare(reference: nn.Module, ours: M2FP, size: int, repeats: int) -> None:
    """Print one table for a square photo of `size` pixels."""
    image = torch.randint(0, 256, (3, size, size), generator=torch.Generator().manual_seed(1)).float()
    request = {"batched_inputs": [{"image": image, "height": size, "width": size}]}
    answer, output = reference.forward(request), ours(image[None])
    expected = answer["outputs"]["pred_masks"]
    close = torch.isclose(output.mask_logits, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    class_logits, mask_logits = two_persons(size)
    request_post = {**answer, "outputs": {"pred_logits": class_logits, "pred_masks": mask_logits}}
    arrays = class_logits[0].numpy(), mask_logits[0].numpy()
    pasted = reference.postprocess(request_post)["eval_result"][0]["parsing"]["semantic_outputs"].argmax(0).numpy()
    same = (pasted == our_postprocessing(*arrays, size)).mean()
    network = take_turns(repeats, lambda: reference.forward(request), lambda: ours(image[None]))
    post = take_turns(repeats, lambda: reference.postprocess(request_post), lambda: our_postprocessing(*arrays, size))
    print(
        f"\n{size}x{size}: mask logits equal on {close.float().mean():.4%}, pasted part map on {same:.4%} of elements"
    )
    print(f"{'':16}{'reference':>12}{'ours':>12}{'faster':>10}")
    rows = [
        ("network", network),
        ("post-processing", post),
        ("total", [a + b for a, b in zip(network, post, strict=True)]),
    ]
    for name, (theirs, mine) in rows:
        print(f"{name:16}{theirs * 1e3:9.0f} ms{mine * 1e3:9.0f} ms{theirs / mine:9.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="photo sides, multiples of 32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    reference = reference_network()
    ours = our_network(reference)
    for size in arguments.sizes:
        compare(reference, ours, size, arguments.repeats)


if __name__ == "__main__":
    main()
