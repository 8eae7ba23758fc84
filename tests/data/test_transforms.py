"""Augmentation: closed forms, and the alignment of photo, labels and cached targets."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from m2fp_kd.data.augmentation import NO_AUGMENTATION, Augmentation
from m2fp_kd.data.reading import Photo
from m2fp_kd.data.transforms import Warp, augment, colour_matrix, draw_colour
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.geometry import PAD_RGB, Geometry, Placement, place

CIHP = LABEL_SETS["cihp"]
GEOMETRIC = Augmentation(scale=(0.5, 2.0), rotation=40, rotation_probability=0.7, colour_probability=0)


def regions(height: int, width: int) -> np.ndarray:
    """Return a part map of large oblique regions, left and right parts among them."""
    y, x = np.mgrid[:height, :width]
    return (((x + 2 * y) // 60 + 3 * ((2 * x - y) // 90)) % 20).astype(np.uint8)


def painted(parts: np.ndarray) -> np.ndarray:
    """Return a photo whose red channel encodes the part."""
    return np.repeat((parts * 12)[..., None], 3, axis=2)


def warps(height: int, width: int, size: int, count: int = 30) -> list[Warp]:
    return [Warp.draw(GEOMETRIC, (height, width), size, np.random.default_rng(seed)) for seed in range(count)]


def test_without_augmentation_a_square_photo_stays() -> None:
    parts = regions(64, 64)
    photo = Photo("a", painted(parts), parts, parts.astype(np.int32), parts.astype(np.int32) * 1000)
    result, warp = augment(photo, NO_AUGMENTATION, 64, CIHP, np.random.default_rng(0))
    for name in ("image", "parts", "persons", "instances"):
        assert np.array_equal(getattr(result, name), getattr(photo, name))
    assert result.instances.dtype == np.int32 and warp.valid().all()


def test_flip_mirrors_and_swaps_left_and_right() -> None:
    parts = np.full((32, 32), 255, np.uint8)
    parts[:, 4:10], parts[:, 20:22], parts[0, 0] = 14, 19, 3
    warp = Warp((32, 32), (32, 32), (0, 0), 32, flip=True)
    flipped = warp.parts(parts, CIHP)
    assert (flipped[:, 22:28] == 15).all() and (flipped[:, 10:12] == 18).all() and flipped[0, 31] == 3
    assert np.array_equal(flipped == 255, parts[:, ::-1] == 255)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.array_equal(warp.image(image), image[:, ::-1])


def test_crop_pads_with_the_mean_colour_and_the_ignored_label() -> None:
    parts = regions(40, 30)
    warp = Warp((40, 30), (40, 30), (-10, 5), 64)
    image, label, ids = warp.image(painted(parts)), warp.parts(parts, CIHP), warp.label_map(parts.astype(np.int32), 0)
    assert np.array_equal(label[10:50, :25], parts[:, 5:]) and np.array_equal(image[10:50, :25], painted(parts)[:, 5:])
    outside = np.ones((64, 64), bool)
    outside[10:50, :25] = False
    assert (label[outside] == 255).all() and (image[outside] == PAD_RGB).all() and (ids[outside] == 0).all()
    assert np.array_equal(warp.valid().numpy(), ~outside[2::4, 2::4])


@pytest.mark.parametrize("flip", [False, True])
def test_scaling_a_box_equals_scaling_the_whole_photo(flip: bool) -> None:
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    crop = Warp((90, 120), (67, 89), (11, 20), 32, flip).image(image)
    whole = Image.fromarray(image[:, ::-1] if flip else image).resize((89, 67), Image.Resampling.BILINEAR)
    expected = np.asarray(whole)[11:43, 20:52]
    assert np.abs(crop.astype(int) - expected).max() <= 2  # Pillow rounds its weights


def test_a_rotation_by_90_degrees_is_exact() -> None:
    parts = regions(64, 64)
    warp = Warp((64, 64), (64, 64), (0, 0), 64, angle=math.pi / 2)
    assert np.array_equal(warp.parts(parts, CIHP), np.rot90(parts))
    assert np.abs(warp.image(painted(parts)).astype(int) - np.rot90(painted(parts))).max() <= 1


def test_photo_and_labels_stay_aligned() -> None:
    """Photo and map both encode x and y; after any warp they must agree."""
    y, x = np.mgrid[:200, :240]
    photo = np.stack([x, y, y], axis=-1).astype(np.uint8)
    for warp in warps(200, 240, 128):
        image = warp.image(photo).astype(float)
        ids = warp.label_map((1000 * y + x + 1).astype(np.int32), 0) - 1
        inside = (ids % 1000 > 4) & (ids % 1000 < 235) & (ids // 1000 > 4) & (ids // 1000 < 195)
        assert np.abs(image[..., 0] - ids % 1000)[inside].max(initial=0) <= 1.1
        assert np.abs(image[..., 1] - ids // 1000)[inside].max(initial=0) <= 1.1
        outside = (ids < 0) & (warp.label_map(np.zeros((200, 240), np.uint8), 255) == 255)
        assert warp.angle or (image[outside] == PAD_RGB).all()


def one_hot_cache(parts: np.ndarray, geometry: Geometry) -> tuple[torch.Tensor, Placement]:
    """Return log parts equal to the labels, for the photo and for the mirrored photo with left and right swapped."""
    swap = np.arange(256, dtype=np.uint8)
    swap[:20] = CIHP.flip_permutation
    orientations = []
    for part_map in (parts, swap[parts[:, ::-1]]):
        canvas, placement = place(np.repeat(part_map[..., None], 3, axis=2), geometry)
        content = np.asarray(Image.fromarray(part_map).resize(placement.content[::-1], Image.Resampling.NEAREST))
        canvas = np.zeros(placement.canvas, np.uint8)
        canvas[: content.shape[0], : content.shape[1]] = content
        dense = np.eye(20, dtype=np.float32)[canvas]
        height, width = canvas.shape
        orientations.append(dense.reshape(height // 4, 4, width // 4, 4, 20).mean(axis=(1, 3)).transpose(2, 0, 1))
    return torch.from_numpy(np.log(np.stack(orientations) * 0.98 + 0.001)), placement


def test_cached_targets_land_on_the_labels() -> None:
    parts = regions(200, 260)
    log_parts, placement = one_hot_cache(parts, Geometry(256))
    agreements = []
    for warp in warps(200, 260, 128):
        best = warp.log_parts(log_parts, placement).argmax(dim=0).numpy()
        label = warp.parts(parts, CIHP)
        blocks = label.reshape(32, 4, 32, 4).transpose(0, 2, 1, 3).reshape(32, 32, 16)
        inside = (blocks == blocks[..., :1]).all(axis=-1) & (blocks[..., 0] != 255)
        if inside.any():
            agreements.append((best == blocks[..., 0])[inside].mean())
        assert np.array_equal(warp.valid().numpy(), label[2::4, 2::4] != 255) or warp.angle
    assert len(agreements) > 20 and np.mean(agreements) > 0.98


def test_cached_targets_are_warped_to_a_fraction_of_a_cell() -> None:
    """Ramps of log-odds along x and y must give the photo's coordinates at the cells' centres."""
    height, width, size = 150, 200, 64
    placement = Placement((height, width), (96, 128), (128, 128))
    cells = (torch.arange(32) + 0.5) * 4 * height / 96
    for axis in (0, 1):
        ramp = cells.view(-1, 1).expand(32, 32) if axis == 0 else cells.expand(32, 32)
        log_parts = torch.stack([torch.zeros(32, 32), 0.02 * ramp]).log_softmax(dim=0).expand(2, 2, 32, 32)
        for warp in warps(height, width, size, 20):
            target = warp.log_parts(log_parts, placement)
            position = (target[1] - target[0]) / 0.02
            assert torch.allclose(target.exp().sum(dim=0), torch.ones(16, 16), atol=1e-5)
            # The same point through the label path: a map that encodes its own coordinate.
            y, x = np.mgrid[:height, :width]
            photo_coordinate = y if axis == 0 else x[:, ::-1] if warp.flip else x
            label = warp.label_map(np.ascontiguousarray(photo_coordinate, dtype=np.int32) + 1, 0)
            blocks = label.reshape(16, 4, 16, 4)
            whole = (blocks > 0).all(axis=(1, 3)) & (blocks.min(axis=(1, 3)) > 6)
            whole &= blocks.max(axis=(1, 3)) < (height, width)[axis] - 6
            expected = blocks.mean(axis=(1, 3)) - 0.5
            assert np.abs(position.numpy() - expected)[whole].max(initial=0) < 0.6


def test_the_padding_of_the_teachers_canvas_does_not_leak() -> None:
    log_parts = torch.full((2, 2, 32, 32), -10.0)
    log_parts[:, 0, :24] = 0
    log_parts[:, 1, 24:] = 0
    placement = Placement((150, 200), (96, 128), (128, 128))
    for warp in warps(150, 200, 64, 20):
        assert (warp.log_parts(log_parts, placement)[0] > -1e-3).all()


def test_draws_stay_in_range_and_depend_on_the_generator_only() -> None:
    drawn = warps(100, 80, 64, 200)
    assert drawn == warps(100, 80, 64, 200)
    sides = [warp.content[0] / 64 for warp in drawn]
    assert 0.49 <= min(sides) < 0.6 and 1.8 < max(sides) <= 2.01
    assert 60 < sum(warp.flip for warp in drawn) < 140
    assert max(abs(warp.angle) for warp in drawn) <= math.radians(40)
    for warp in drawn:
        for offset, side in zip(warp.offset, warp.content, strict=True):
            assert min(0, side - 64) <= offset <= max(0, side - 64)


def test_a_crop_of_a_very_long_photo() -> None:
    parts = np.zeros((3, 400), np.uint8)
    augmented, warp = augment(Photo("a", painted(parts), parts), GEOMETRIC, 32, CIHP, np.random.default_rng(0))
    assert augmented.image.shape == (32, 32, 3) and warp.content[0] >= 1


def test_colour_closed_forms() -> None:
    rows = np.array(colour_matrix(0, 1, 1, 0)).reshape(3, 4)
    assert np.allclose(rows, np.eye(3, 4), atol=1e-9)
    grey = np.full(3, 77.0)
    turned = np.array(colour_matrix(0, 1, 1.4, 0.3)).reshape(3, 4)
    assert np.allclose(turned[:, :3] @ grey + turned[:, 3], grey)
    dull = np.array(colour_matrix(0, 1, 0, 0)).reshape(3, 4)
    assert np.allclose(dull[:, :3] @ [200, 30, 90], 0.299 * 200 + 0.587 * 30 + 0.114 * 90, atol=0.1)
    contrast = np.array(colour_matrix(10, 1.5, 1, 0)).reshape(3, 4)
    assert np.allclose(contrast[:, :3] @ [128, 28, 228] + contrast[:, 3], [138, -12, 288])
    full_turn = np.array(colour_matrix(0, 1, 1, 2 * math.pi)).reshape(3, 4)
    assert np.allclose(full_turn, np.eye(3, 4), atol=1e-9)


def test_colour_changes_the_photo_but_not_its_padding() -> None:
    photo = np.full((20, 20, 3), (200, 60, 30), np.uint8)
    warp = Warp((20, 20), (20, 20), (-6, -6), 32, angle=0.2)
    image = warp.image(photo, colour_matrix(40, 1, 1, 0))
    assert tuple(image[16, 16]) == (240, 100, 70) and tuple(image[0, 0]) == PAD_RGB
    assert draw_colour(NO_AUGMENTATION, np.random.default_rng(0)) is None


@pytest.mark.parametrize(
    ("field", "value"), [("scale", (1.5, 0.5)), ("scale", (0, 1)), ("flip", 1.5), ("contrast", -0.1), ("rotation", 200)]
)
def test_an_impossible_augmentation_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(Augmentation(), **{field: value})
