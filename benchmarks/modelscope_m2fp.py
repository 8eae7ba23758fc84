"""Measure ModelScope's M2FP as a baseline of `m2fp-kd benchmark` and print JSON.

    m2fp-kd benchmark ARTEFACT... --baseline benchmarks/modelscope_m2fp.py
    m2fp-kd benchmark ARTEFACT... --baseline "OTHER_PYTHON benchmarks/modelscope_m2fp.py"

The time of a photo is from decoded pixels through the network and ModelScope's post-processing. The random weights
detect no person, so the post-processing gets predictions like those of a trained network for a photo of two persons.
The second form is for ModelScope in a separate environment, which also needs this package's core dependencies, PyTorch
and timm.
"""

import json
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from m2fp_kd.evaluation.speed.measure import Loaded, measure_here, measuring_options

if TYPE_CHECKING:
    from torch import Tensor


def load(threads: int | None) -> Loaded:
    """Load the reference; PyTorch is imported here, because its time and memory are part of the cost."""
    import torch
    import torch.nn.functional as F
    from reference_network import reference_network, two_persons

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = reference_network()
    stride = network.size_divisibility

    @cache
    def predictions(height: int, width: int) -> "dict[str, Tensor]":
        classes, masks = two_persons(max(height, width))
        masks = F.interpolate(masks, size=(height // 4, width // 4), mode="bilinear")
        return {"pred_logits": classes, "pred_masks": masks}

    def canvas(photo: np.ndarray) -> tuple[int, int]:
        height, width = (-(-side // stride) * stride for side in photo.shape[:2])
        return height, width

    @torch.inference_mode()
    def parse(photo: np.ndarray) -> None:
        height, width = photo.shape[:2]
        image = torch.from_numpy(photo).permute(2, 0, 1).float()
        result = network.forward({"batched_inputs": [{"image": image, "height": height, "width": width}]})
        network.postprocess({**result, "outputs": predictions(*canvas(photo))})

    megabytes = sum(weight.nbytes for weight in network.state_dict().values()) / 1e6
    return Loaded(parse, canvas, 512, "pytorch", "f32", megabytes)


def main() -> None:
    options = measuring_options("ModelScope's M2FP, network and post-processing; prints JSON.").parse_args()
    if options.batch != 1:
        raise SystemExit("ModelScope's post-processing takes photos one by one: --batch 1")
    print(json.dumps(asdict(measure_here(lambda: load(options.threads), options))))


if __name__ == "__main__":
    main()
