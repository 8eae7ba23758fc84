"""Compare our M2FP with ModelScope's, network and post-processing, with equal weights and photos and in one process.

    python benchmarks/reference.py --sizes 256 512 --threads 2

ModelScope must be installed; the error names the command if it is missing. Times depend on the machine, ratios hardly.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from reference_network import PARTS, PASTE_THRESHOLD, reference_network, two_persons
from torch import nn

from m2fp_kd.checkpoints.modelscope import load_m2fp_checkpoint
from m2fp_kd.evaluation.speed.rounds import turns
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fold import fold_batch_norm
from m2fp_kd.models.m2fp import M2FP, build_m2fp
from m2fp_kd.runtime.geometry import Placement
from m2fp_kd.runtime.persons import instances, paste

INSTANCE_THRESHOLD = 0.1


def our_network(reference: nn.Module) -> M2FP:
    """Return our M2FP with the reference's weights, loaded from a checkpoint in the reference's format."""
    network = build_m2fp(build_backbone("resnet101"), num_classes=PARTS + 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pytorch_model.pt"
        torch.save({"model": reference.state_dict()}, path)
        load_m2fp_checkpoint(network, path)
    fold_batch_norm(network.eval())  # as in every frozen teacher
    return network


def our_postprocessing(class_logits: np.ndarray, mask_logits: np.ndarray, size: int) -> np.ndarray:
    """Compute part and person instances with their masks, and return the pasted part map."""
    placement = Placement((size, size), (size, size), (size, size))
    found = list(instances(class_logits, mask_logits, placement, range(PARTS + 1), INSTANCE_THRESHOLD))
    for instance in found:
        instance.mask((size, size))
    parts = [instance for instance in found if instance.category < PARTS and instance.score >= PASTE_THRESHOLD]
    return paste(parts, (size, size))[0]


def median_seconds(repeats: int, *functions: Callable[[], object]) -> list[float]:
    """Return the median seconds of each function; every round calls each of them once, after one warm-up round."""
    for function in functions:
        function()
    times: list[list[float]] = [[] for _ in functions]
    for index in turns(range(len(functions)), repeats):
        start = time.perf_counter()
        functions[index]()
        times[index].append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in times]


@torch.no_grad()
def compare(reference: nn.Module, ours: M2FP, size: int, repeats: int) -> None:
    """Print one table for a square photo of `size` pixels."""
    image = torch.randint(0, 256, (3, size, size), generator=torch.Generator().manual_seed(1)).float()
    request = {"batched_inputs": [{"image": image, "height": size, "width": size}]}
    result, output = reference.forward(request), ours(image[None])
    expected = result["outputs"]["pred_masks"]
    close = torch.isclose(output.mask_logits, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    class_logits, mask_logits = two_persons(size)
    request_post = {**result, "outputs": {"pred_logits": class_logits, "pred_masks": mask_logits}}
    arrays = class_logits[0].numpy(), mask_logits[0].numpy()
    pasted = reference.postprocess(request_post)["eval_result"][0]["parsing"]["semantic_outputs"].argmax(0).numpy()
    same = (pasted == our_postprocessing(*arrays, size)).mean()
    network = median_seconds(repeats, lambda: reference.forward(request), lambda: ours(image[None]))
    post = median_seconds(
        repeats, lambda: reference.postprocess(request_post), lambda: our_postprocessing(*arrays, size)
    )
    print(f"\n{size}x{size}: {close.float().mean():.4%} of mask logits and {same:.4%} of the pasted part map are equal")
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
