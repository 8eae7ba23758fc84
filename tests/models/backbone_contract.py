"""Contract of every backbone; a test class inherits it and names its backbone."""

import copy
from functools import cache

import torch
from torch import nn

from m2fp_kd.models.backbones import STRIDES, Backbone, build_backbone
from m2fp_kd.models.fold import fold_batch_norm


@cache
def _built(name: str) -> Backbone:
    torch.manual_seed(1)
    return build_backbone(name).eval()


class BackboneContract:
    """Base class with one subclass per backbone."""

    name: str
    parameters: int

    def test_features_have_four_strides_for_any_multiple_of_32(self) -> None:
        backbone = _built(self.name)
        with torch.no_grad():
            levels = backbone(torch.randn(2, 3, 64, 96))
        assert [tuple(level.shape) for level in levels] == [
            (2, channels, 64 // stride, 96 // stride)
            for channels, stride in zip(backbone.channels, STRIDES, strict=True)
        ]

    def test_parameters_are_those_of_the_feature_layers(self) -> None:
        assert sum(p.numel() for p in _built(self.name).parameters()) == self.parameters

    def test_folding_removes_batch_norm_and_keeps_the_features(self) -> None:
        backbone = copy.deepcopy(_built(self.name))
        generator = torch.Generator().manual_seed(2)
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d):  # as if trained
                for tensor in (module.weight.data, module.running_var):
                    tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
                for tensor in (module.bias.data, module.running_mean):
                    tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
        images = torch.randn(1, 3, 64, 64, generator=generator)
        with torch.no_grad():
            expected = backbone(images)
            fold_batch_norm(backbone)
            got = backbone(images)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
        for one, other in zip(got, expected, strict=True):
            assert (one - other).norm() <= 1e-4 * other.norm()

    def test_every_parameter_gets_a_gradient(self) -> None:
        backbone = _built(self.name)
        images = torch.randn(1, 3, 64, 64, requires_grad=True)
        sum(level.square().mean() for level in backbone(images)).backward()
        assert [key for key, p in backbone.named_parameters() if p.grad is None] == []
        assert images.grad is not None and images.grad.abs().sum() > 0

    def test_a_new_backbone_is_in_training_mode_and_determined_by_the_seed(self) -> None:
        expected = _built(self.name).state_dict()
        torch.manual_seed(1)
        backbone = build_backbone(self.name)
        assert all(module.training for module in backbone.modules())
        state = backbone.state_dict()
        counts = [value for key, value in state.items() if key.endswith("num_batches_tracked")]
        assert counts and not any(counts)
        assert all(torch.equal(state[key], expected[key]) for key in expected)
