"""Other people's networks: classes, queries and sizes."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import EomtImageProcessor, Mask2FormerImageProcessor

from m2fp_kd.models.foreign import ForeignNetwork

ZERO, ONE = [0.0] * 3, [1.0] * 3


class Answers(nn.Module):
    """Return a fixed answer and note the images."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer
        self.seen = torch.empty(0)

    def forward(self, images: Tensor) -> Any:
        self.seen = images
        return self.answer


def test_images_are_normalised_and_classes_become_parts() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0]).log_softmax(dim=0).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    network = Answers(SimpleNamespace(logits=logits))
    shares = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.25, 0.75, 0.0]])
    found = ForeignNetwork(network, shares, [10.0, 20.0, 30.0], [2.0, 4.0, 5.0])(torch.full((1, 3, 8, 8), 50.0))
    assert torch.equal(network.seen[0, :, 0, 0], torch.tensor([20.0, 7.5, 4.0])) and network.seen.is_contiguous()
    first, second, third = logits[0, :, 0, 0].exp()
    expected = torch.stack([first + third / 4, second + 0.75 * third, torch.tensor(0.0)])
    torch.testing.assert_close(found.part_logits[0, :, 2, 3].exp(), expected)
    assert found.part_logits.isfinite().all() and found.queries is None and found.features is None


def test_a_network_of_fixed_size_gets_resized_images() -> None:
    network = Answers(torch.zeros(1, 2, 4, 4))
    foreign = ForeignNetwork(network, torch.eye(2), ZERO, ONE, fixed=(16, 24))
    foreign(torch.rand(1, 3, 64, 64))
    assert network.seen.shape == (1, 3, 16, 24)
    images = torch.rand(1, 3, 16, 24)
    foreign(images)
    assert torch.equal(network.seen, images)


@pytest.mark.parametrize("kind", ["mask2former", "eomt"])
def test_queries_become_the_scores_of_the_processors(kind: str) -> None:
    """Their post-processing resizes masks to the canvas before it sums; here they have its size already."""
    side = 384 if kind == "mask2former" else 32
    torch.manual_seed(0)
    output = SimpleNamespace(
        class_queries_logits=torch.randn(1, 3, 5), masks_queries_logits=3 * torch.randn(1, 3, side, side),
        patch_offsets=None,
    )  # fmt: skip
    processor = Mask2FormerImageProcessor() if kind == "mask2former" else EomtImageProcessor()
    size = {} if kind == "mask2former" else {"size": {"shortest_edge": side, "longest_edge": side}}
    (theirs,) = processor.post_process_semantic_segmentation(
        output, target_sizes=[(side, side)], return_segmentation_scores=True, **size
    )
    scores = theirs["segmentation_scores"]
    found = ForeignNetwork(Answers(output), torch.eye(4), ZERO, ONE)(torch.zeros(1, 3, side, side)).part_logits[0]
    torch.testing.assert_close(found.exp(), scores / scores.sum(dim=0), atol=1e-5, rtol=1e-4)
    assert torch.equal(found.argmax(dim=0), theirs["segmentation"])


@pytest.mark.parametrize(
    "answer",
    [torch.zeros(1, 3, 4, 4), SimpleNamespace(logits=torch.zeros(1, 3, 4, 4)), SimpleNamespace(boxes=None)],
)
def test_another_number_of_classes_is_refused(answer: Any) -> None:
    with pytest.raises(ValueError, match="but 2 have a name"):
        ForeignNetwork(Answers(answer), torch.eye(2), ZERO, ONE)(torch.zeros(1, 3, 8, 8))
