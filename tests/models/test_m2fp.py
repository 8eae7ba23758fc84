import pytest
import torch
from torch import Tensor, nn

from m2fp_kd.models.backbones import Backbone
from m2fp_kd.models.m2fp import M2FP, build_m2fp

CLASSES, QUERIES, LAYERS = 5, 6, 4


class _Patches(nn.Module):
    """A minimal backbone with four levels of patches."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(3, 8, stride, stride) for stride in (4, 8, 16, 32))

    def forward(self, images: Tensor) -> list[Tensor]:
        return [level(images) for level in self.levels]


def _network(exact_order: bool = False, encoder_layers: int = 2, decoder_layers: int = LAYERS) -> M2FP:
    torch.manual_seed(0)
    return build_m2fp(
        Backbone(_Patches(), (8, 8, 8, 8)),
        CLASSES,
        width=32,
        mask_width=16,
        queries=QUERIES,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        heads=4,
        encoder_feedforward=64,
        decoder_feedforward=64,
        exact_order=exact_order,
    )


def _images(batch: int = 2, height: int = 64, width: int = 96) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=generator)


def test_shapes_and_auxiliary_predictions() -> None:
    network = _network()
    output = network(_images())
    assert output.class_logits.shape == (2, QUERIES, CLASSES + 1)
    assert output.mask_logits.shape == (2, QUERIES, 16, 24)
    assert output.mask_features.shape == (2, 16, 16, 24)
    assert len(output.auxiliary) == LAYERS  # before the first layer and after all but the last
    for class_logits, mask_logits in output.auxiliary:
        assert class_logits.shape == output.class_logits.shape and mask_logits.shape == output.mask_logits.shape
    network.eval()
    assert network(_images()).auxiliary == []
    assert len(network(_images(), auxiliary=True).auxiliary) == LAYERS


def test_every_parameter_gets_a_gradient() -> None:
    network = _network()
    for layer in network.pixel_decoder.layers:  # zero at first, so that positions would have no effect
        nn.init.normal_(layer.attention.sampling_offsets.weight, std=0.1)
        nn.init.normal_(layer.attention.attention_weights.weight, std=0.1)
    output = network(_images())
    predictions = [(output.class_logits, output.mask_logits), *output.auxiliary]
    sum(classes.square().mean() + masks.square().mean() for classes, masks in predictions).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@torch.no_grad()
def test_predictions_do_not_depend_on_the_batch() -> None:
    network = _network().eval()
    together = network(_images(), auxiliary=True)
    for index in range(2):
        alone = network(_images()[index : index + 1], auxiliary=True)
        torch.testing.assert_close(alone.class_logits[0], together.class_logits[index], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone.mask_logits[0], together.mask_logits[index], atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 96), (32, 64), (160, 64)])
def test_the_fast_order_agrees_with_the_exact_order(size: tuple[int, int]) -> None:
    fast, exact = _network().eval(), _network(exact_order=True).eval()
    fast_output, exact_output = (network(_images(1, *size), auxiliary=True) for network in (fast, exact))
    close = torch.isclose(fast_output.mask_logits, exact_output.mask_logits, atol=1e-4, rtol=1e-4)
    assert close.float().mean() >= 0.999
    for (_, fast_masks), (_, exact_masks) in zip(fast_output.auxiliary, exact_output.auxiliary, strict=True):
        assert torch.isclose(fast_masks, exact_masks, atol=1e-4, rtol=1e-4).float().mean() >= 0.999


@torch.no_grad()
def test_uint8_and_float_photos_give_equal_predictions() -> None:
    network = _network().eval()
    torch.testing.assert_close(network(_images()).mask_logits, network(_images().float()).mask_logits)


@torch.no_grad()
def test_training_mode_does_not_change_predictions() -> None:
    network = _network()  # no BatchNorm in this backbone, no dropout anywhere
    torch.testing.assert_close(network(_images()).mask_logits, network.eval()(_images()).mask_logits)


@torch.no_grad()
def test_the_network_exports_as_one_graph() -> None:
    network = _network(encoder_layers=1, decoder_layers=2).eval()

    class Predictions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            output = self.network(images)
            return output.class_logits, output.mask_logits

    images = _images(1)
    exported = torch.export.export(Predictions(), (images,)).module()
    for got, expected in zip(exported(images), Predictions()(images), strict=True):
        torch.testing.assert_close(got, expected)


def test_sides_must_be_multiples_of_32() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        _network()(_images(1, 64, 100))


def test_a_width_that_is_not_a_multiple_of_32_is_an_error() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        build_m2fp(Backbone(_Patches(), (8, 8, 8, 8)), CLASSES, width=48)
