"""What every backbone promises; a test module inherits the class and names its backbone."""

import torch

from m2fp_kd.models.backbones import STRIDES, build_backbone


class BackboneContract:
    """Inherited once per backbone."""

    name: str
    parameters: int

    def test_gives_the_four_strides_of_any_multiple_of_32(self) -> None:
        backbone = build_backbone(self.name).eval()
        with torch.no_grad():
            levels = backbone(torch.randn(2, 3, 64, 96))
        assert [tuple(level.shape) for level in levels] == [
            (2, channels, 64 // stride, 96 // stride)
            for channels, stride in zip(backbone.channels, STRIDES, strict=True)
        ]

    def test_has_the_parameters_of_its_feature_layers_and_no_more(self) -> None:
        assert sum(p.numel() for p in build_backbone(self.name).parameters()) == self.parameters

    def test_every_parameter_gets_a_gradient(self) -> None:
        backbone = build_backbone(self.name).eval()
        images = torch.randn(1, 3, 64, 64, requires_grad=True)
        sum(level.square().mean() for level in backbone(images)).backward()
        assert [key for key, p in backbone.named_parameters() if p.grad is None] == []
        assert images.grad is not None and images.grad.abs().sum() > 0

    def test_starts_in_training_mode_with_untouched_statistics(self) -> None:
        backbone = build_backbone(self.name)
        assert all(module.training for module in backbone.modules())
        counts = [v for k, v in backbone.state_dict().items() if k.endswith("num_batches_tracked")]
        assert counts and not any(counts)

    def test_same_seed_same_weights(self) -> None:
        states = []
        for _ in range(2):
            torch.manual_seed(1)
            states.append(build_backbone(self.name).state_dict())
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
