import pytest
import torch
import torch.nn.functional as F
from torch import nn

from m2fp_kd.compress.export.deployable import Deployable, NormaliseCanvases, deployable, part_scores
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.attention import DeformableAttention
from m2fp_kd.models.normalise import Normalise
from m2fp_kd.models.outputs import M2FPOutput, StudentOutput, log_parts
from m2fp_kd.runtime.artefact import Card
from tests.distill.tiny import tiny_m2fp


class _Slope(nn.Module):
    """Two parts whose logits cross between the second and the third column at stride 4."""

    def forward(self, images: torch.Tensor) -> StudentOutput:
        slope = torch.tensor([3.0, 1.0, -1.0, -3.0]).expand(len(images), 1, 4, 4)
        return StudentOutput(torch.cat([slope, torch.zeros_like(slope)], dim=1))


def test_part_map_is_the_argmax_of_upsampled_logits() -> None:
    part_map, _ = Deployable(nn.Identity(), _Slope(), "fpn")(torch.zeros(2, 16, 16, 3, dtype=torch.uint8))
    assert part_map.dtype == torch.uint8
    assert part_map.shape == (2, 16, 16)
    assert part_map[1, 5].tolist() == [0] * 8 + [1] * 8


def test_canvases_are_normalised_like_images() -> None:
    canvases = torch.randint(0, 256, (2, 8, 12, 3), dtype=torch.uint8)
    normalise = Normalise()
    normalised = NormaliseCanvases(normalise)(canvases).permute(0, 3, 1, 2)
    assert torch.equal(normalised, normalise(canvases.permute(0, 3, 1, 2)))
    assert normalised.is_contiguous(memory_format=torch.channels_last)


def test_an_unknown_head_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="fpn, m2fp"):
        Deployable(nn.Identity(), _Slope(), "unet")


@torch.inference_mode()
def test_a_deployed_m2fp_computes_the_same_outputs() -> None:
    labels = LABEL_SETS["pascal_person_part"]
    network = tiny_m2fp(labels.num_parts + 1).eval()
    for name, parameter in network.named_parameters():  # without this, all tokens would be equal
        if "sampling_offsets" in name or "attention_weights" in name:
            nn.init.normal_(parameter, std=0.05)
    deployed = deployable(network, Card(labels.to_dict(), {"size": 64}, "fp32", "m2fp"))
    canvases = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    part_map, part_logits, class_logits, mask_logits = deployed(canvases)
    expected = network(canvases.permute(0, 3, 1, 2))
    torch.testing.assert_close(part_logits.log_softmax(1), log_parts(expected, labels.num_parts), atol=1e-4, rtol=0)
    torch.testing.assert_close(class_logits, expected.class_logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(mask_logits, expected.mask_logits, atol=1e-4, rtol=0)
    parts = F.interpolate(log_parts(expected, labels.num_parts), scale_factor=4, mode="bilinear").argmax(1)
    assert (part_map == parts).float().mean() > 0.999


def test_part_scores_of_vanishing_masks_are_finite() -> None:
    masks = torch.full((1, 2, 3, 3), -200.0)
    queries = M2FPOutput(torch.zeros(1, 2, 4), masks, mask_features=masks)
    assert part_scores(queries, 3).isfinite().all()


def test_deploying_does_not_change_the_network() -> None:
    network = tiny_m2fp().train()
    deployable(network, Card(LABEL_SETS["cihp"].to_dict(), {"size": 64}, "fp32", "m2fp"))
    assert network.training
    assert any(isinstance(module, DeformableAttention) for module in network.modules())
