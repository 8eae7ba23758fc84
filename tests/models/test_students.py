import pytest
import torch
from torch import nn

from m2fp_kd.models.backbones import Backbone, build_backbone
from m2fp_kd.models.fpn import FPNDecoder, FPNStudent
from m2fp_kd.models.m2fp import build_m2fp
from m2fp_kd.models.m2fp_student import M2FPStudent, copy_head, head_of
from m2fp_kd.models.normalise import IMAGE_MEAN

PARTS = 7


class _TinyBody(nn.Module):
    """A stem and four convolutions, each with stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.stages = nn.ModuleList(nn.Conv2d(c, c + 4, 3, stride=2, padding=1) for c in (4, 8, 12, 16))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        levels, level = [], self.stem(images)
        for stage in self.stages:
            level = stage(level).relu()
            levels.append(level)
        return levels


def _backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone(_TinyBody(), (8, 12, 16, 20))


def _images(batch: int = 2, height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8)


def test_the_decoder_gives_every_level_the_same_width() -> None:
    sizes = [(16, 24), (8, 12), (4, 6), (2, 3)]
    decoder = FPNDecoder((5, 6, 7, 8), width=12)
    out = decoder([torch.randn(2, c, *size) for c, size in zip((5, 6, 7, 8), sizes, strict=True)])
    assert [tuple(level.shape) for level in out] == [(2, 12, *size) for size in sizes]


def test_the_finest_level_depends_on_all_levels_and_the_coarsest_only_on_itself() -> None:
    decoder = FPNDecoder((4, 4, 4, 4), width=8).eval()
    levels = [torch.randn(1, 4, 64 // s, 64 // s, requires_grad=True) for s in (4, 8, 16, 32)]
    out = decoder(levels)
    fine = torch.autograd.grad(out[0].sum(), levels, retain_graph=True)
    assert all(gradient.abs().sum() > 0 for gradient in fine)
    coarse = torch.autograd.grad(out[3].sum(), levels, allow_unused=True)
    assert coarse[:3] == (None, None, None)


def test_context_covers_the_whole_photo() -> None:
    torch.manual_seed(0)
    decoder = FPNDecoder((4, 4, 4, 4), width=8).eval()
    coarsest = torch.randn(1, 4, 16, 16, requires_grad=True)
    levels = [torch.randn(1, 4, 512 // s, 512 // s) for s in (4, 8, 16)]
    corner = decoder([*levels, coarsest])[3][..., 0, 0].sum()
    (gradient,) = torch.autograd.grad(corner, coarsest)
    assert gradient[..., -1, -1].abs().sum() > 0


def test_fpn_student_returns_logits_and_features_at_stride_4() -> None:
    output = FPNStudent(_backbone(), PARTS, width=16)(_images())
    assert output.part_logits.shape == (2, PARTS, 16, 24)
    assert output.features is not None and output.features.shape == (2, 16, 16, 24)
    assert output.queries is None


@pytest.mark.parametrize("has_human", [False, True])
def test_m2fp_student_returns_queries_and_their_part_distribution(has_human: bool) -> None:
    student = M2FPStudent(_backbone(), PARTS, has_human, width=16, queries=9, layers=3, heads=2)
    output = student(_images())
    assert output.queries is not None
    assert output.queries.class_logits.shape == (2, 9, PARTS + has_human + 1)
    assert output.queries.mask_logits.shape == (2, 9, 16, 24)
    assert output.features is output.queries.mask_features
    torch.testing.assert_close(output.part_logits.exp().sum(1), torch.ones(2, 16, 24))
    assert len(output.queries.auxiliary) == 3
    assert student.eval()(_images()).queries.auxiliary == []


def test_a_copied_head_equals_the_teachers_first_layers() -> None:
    teacher = build_m2fp(
        _backbone(), PARTS + 1, width=32, mask_width=32, queries=9, encoder_layers=1, decoder_layers=4, heads=4,
        encoder_feedforward=16, decoder_feedforward=8 * 32,
    )  # fmt: skip
    assert head_of(teacher) == {"width": 32, "queries": 9, "heads": 4}
    student = M2FPStudent(_backbone(), PARTS, True, **head_of(teacher), layers=2)
    ours, theirs = student.transformer_decoder.state_dict(), teacher.transformer_decoder.state_dict()
    backbone = student.backbone.body.stem.weight.clone()
    assert copy_head(student, teacher) == len(ours) < len(theirs)
    assert all(torch.equal(theirs[name], tensor) for name, tensor in student.transformer_decoder.state_dict().items())
    assert torch.equal(student.backbone.body.stem.weight, backbone)


def test_copying_a_head_skips_tensors_of_another_shape() -> None:
    teacher = build_m2fp(
        _backbone(), PARTS + 1, width=32, mask_width=64, queries=9, encoder_layers=1, decoder_layers=1, heads=4,
        encoder_feedforward=16, decoder_feedforward=48,
    )  # fmt: skip
    student = M2FPStudent(_backbone(), PARTS, True, **head_of(teacher), layers=1)
    before = {name: tensor.clone() for name, tensor in student.transformer_decoder.state_dict().items()}
    copied = copy_head(student, teacher)
    own = {"mask_embed.4.weight", "mask_embed.4.bias"}
    own |= {f"layers.0.{name}" for name in ("linear1.weight", "linear1.bias", "linear2.weight")}
    assert copied == len(before) - len(own)
    after = student.transformer_decoder.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in own)
    assert torch.equal(after["query_features"], teacher.transformer_decoder.query_features)


@pytest.mark.parametrize(
    ("scale", "canvas", "seen"),
    [
        (0.75, (128, 256), (96, 192)),
        (0.625, (256, 512), (160, 320)),
        (0.75, (32, 96), (32, 64)),
        (0.5, (32, 64), (32, 32)),
    ],
)
def test_a_backbone_sees_its_share_of_the_canvas(scale: float, canvas: tuple[int, int], seen: tuple[int, int]) -> None:
    student, sizes = FPNStudent(_backbone(), PARTS, width=16, scale=scale).eval(), []
    student.backbone.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:])))
    output = student(_images(1, *canvas))
    assert sizes == [seen]
    assert output.part_logits.shape[-2:] == output.features.shape[-2:] == (canvas[0] // 4, canvas[1] // 4)


def test_a_scaled_student_is_the_plain_one_between_two_resizes() -> None:
    plain, scaled = (FPNStudent(_backbone(), PARTS, width=16, scale=scale).eval() for scale in (1, 0.75))
    scaled.load_state_dict(plain.state_dict())
    images = _images(2, 64, 128).float()
    with torch.no_grad():
        found = scaled(images)
        expected = plain(nn.functional.interpolate(images, (64, 96), mode="bilinear"))
    for name in ("part_logits", "features"):
        resized = nn.functional.interpolate(getattr(expected, name), (16, 32), mode="bilinear")
        torch.testing.assert_close(getattr(found, name), resized, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scaled.classifier(found.features), found.part_logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scale", [0.49, 1.01, 0, -1, float("nan")])
def test_a_scale_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=r"scale=.* must be in 0\.5\.\.1"):
        FPNStudent(_backbone(), PARTS, scale=scale)


STUDENTS = {
    "fpn": lambda: FPNStudent(_backbone(), PARTS, width=16),
    "fpn, scaled": lambda: FPNStudent(_backbone(), PARTS, width=16, scale=0.75),
    "m2fp": lambda: M2FPStudent(_backbone(), PARTS, True, width=16, queries=9, heads=2),
}
students = pytest.mark.parametrize("student", STUDENTS)


@pytest.mark.parametrize("name", ["mobilenetv3_small", "shufflenetv2"])
def test_real_backbones_fit_both_students(name: str) -> None:
    backbone = build_backbone(name)
    for student in (FPNStudent(backbone, PARTS, 16), M2FPStudent(backbone, PARTS, True, 16, queries=9, heads=2)):
        assert student(_images()).part_logits.shape == (2, PARTS, 16, 24)


@students
def test_the_gradient_reaches_every_layer(student: str) -> None:
    model = STUDENTS[student]()
    output = model(_images())
    loss = -output.part_logits.log_softmax(1)[:, 1].mean()
    for classes, masks in output.queries.auxiliary if output.queries else []:
        loss = loss + classes.square().mean() + masks.square().mean()
    loss.backward()
    assert [key for key, p in model.named_parameters() if p.grad is None] == []
    assert model.backbone.body.stem.weight.grad.abs().sum() > 0


@students
def test_uint8_and_float_images_give_equal_logits(student: str) -> None:
    model, images = STUDENTS[student]().eval(), _images()
    with torch.no_grad():
        torch.testing.assert_close(model(images).part_logits, model(images.float()).part_logits)


@students
def test_a_photo_does_not_depend_on_its_batch(student: str) -> None:
    model, images = STUDENTS[student]().eval(), _images(3)
    with torch.no_grad():
        together, alone = model(images).part_logits, model(images[1:2]).part_logits
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)


@students
def test_a_batch_of_one_trains(student: str) -> None:
    model = STUDENTS[student]()
    model(_images(1, 64, 64)).part_logits[:, 0].sum().backward()
    gradient = model.backbone.body.stem.weight.grad
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


@students
def test_channels_last_gives_equal_logits(student: str) -> None:
    model, images = STUDENTS[student]().eval(), _images()
    with torch.no_grad():
        plain = model(images).part_logits
        model.to(memory_format=torch.channels_last)
        fast = model(images.contiguous(memory_format=torch.channels_last)).part_logits
    torch.testing.assert_close(plain, fast, atol=1e-4, rtol=1e-4)


@students
def test_a_state_dict_restores_the_logits(student: str) -> None:
    one, other = STUDENTS[student]().eval(), STUDENTS[student]().eval()
    nn.init.normal_(one.backbone.body.stem.weight)
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        images = _images()
        assert torch.equal(one(images).part_logits, other(images).part_logits)


def test_the_network_normalises_its_images() -> None:
    student, inputs_seen = FPNStudent(_backbone(), PARTS, width=16).eval(), []
    student.backbone.register_forward_pre_hook(lambda _, inputs: inputs_seen.append(inputs[0]))
    student(torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1).expand(1, 3, 64, 64))
    torch.testing.assert_close(inputs_seen[0], torch.zeros(1, 3, 64, 64), atol=1e-5, rtol=0)


def test_fpn_student_overfits_two_photos() -> None:
    torch.manual_seed(0)
    student = FPNStudent(_backbone(), PARTS, width=16)
    images, truth = _images(2, 64, 64), torch.zeros(2, 16, 16, dtype=torch.long)
    images[:, :, :, 32:] //= 4
    truth[:, :, 8:] = 3
    optimiser = torch.optim.AdamW(student.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(student(images).part_logits, truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
