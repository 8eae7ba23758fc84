"""ModelScope's M2FP as a baseline of `m2fp_kd.evaluation.benchmark`: measures itself and prints JSON.

    python -m m2fp_kd.evaluation.benchmark ARTEFACT... --baseline benchmarks/modelscope_m2fp.py
    python -m m2fp_kd.evaluation.benchmark ARTEFACT... --baseline "OTHER_PYTHON benchmarks/modelscope_m2fp.py"

A photo takes it from decoded pixels through its network and its own post-processing. The weights are random and find
nobody, so the post-processing is given what a trained network says of a photo of two persons. The second form is for
ModelScope in an environment of its own, which needs this package's core dependencies, PyTorch and timm beside it.
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
    """The reference, ready to be measured. PyTorch is imported here: its time and memory are part of what it costs."""
    import torch
    import torch.nn.functional as F
    from reference_network import reference_network, two_persons

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = reference_network()
    stride = network.size_divisibility

    @cache
    def said(height: int, width: int) -> "dict[str, Tensor]":
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
        answer = network.forward({"batched_inputs": [{"image": image, "height": height, "width": width}]})
        network.postprocess({**answer, "outputs": said(*canvas(photo))})

    megabytes = sum(weight.nbytes for weight in network.state_dict().values()) / 1e6
    return Loaded(parse, canvas, 512, "pytorch", "f32", megabytes)


def main() -> None:
    options = measuring_options("ModelScope's M2FP, network and post-processing; prints JSON.").parse_args()
    if options.batch != 1:
        raise SystemExit("ModelScope's post-processing takes photos one by one: --batch 1")
    print(json.dumps(asdict(measure_here(lambda: load(options.threads), options))))


if __name__ == "__main__":
    main()
