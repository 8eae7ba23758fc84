"""Conversion of an image's label maps to masks with classes."""

import pytest
import torch
from torch.nn import functional as F

from m2fp_kd.distill.losses.mask_targets import MaskBatch, MaskTargets, mask_targets
from m2fp_kd.labels import LABEL_SETS

CIHP, ATR = LABEL_SETS["cihp"], LABEL_SETS["atr"]


@pytest.fixture
def two_persons() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two persons with part 5 each, one of them with part 2; a row of ignored pixels at the bottom."""
    parts = torch.zeros(6, 8, dtype=torch.uint8)
    persons = torch.zeros(6, 8, dtype=torch.int32)
    parts[1:5, 1:3], persons[1:5, 1:3] = 5, 1
    parts[1:5, 5:7], persons[1:5, 5:7] = 5, 2
    parts[1, 5:7] = 2
    instances = torch.zeros(6, 8, dtype=torch.int32)
    instances[parts == 2] = 9
    instances[(parts == 5) & (persons == 1)] = 4
    instances[(parts == 5) & (persons == 2)] = 300
    parts[5] = CIHP.ignore_index
    return parts, persons, instances


def test_ids_give_a_mask_per_part_instance_and_person(two_persons) -> None:
    parts, persons, instances = two_persons
    targets = mask_targets(parts, persons, instances, CIHP)
    assert targets.classes.tolist() == [0, 2, 5, 5, CIHP.num_parts, CIHP.num_parts]
    assert targets.masks.dtype == torch.bool
    assert torch.equal(targets.masks[0], parts == 0)
    assert torch.equal(targets.masks[1], parts == 2)
    assert torch.equal(targets.masks[2], instances == 4)
    assert torch.equal(targets.masks[3], instances == 300)
    assert torch.equal(targets.masks[4:], torch.stack([persons == 1, persons == 2]))
    assert torch.equal(targets.valid, parts != 255)


def test_without_ids_there_is_a_mask_per_part(two_persons) -> None:
    parts, _, _ = two_persons
    targets = mask_targets(parts, None, None, CIHP)
    assert targets.classes.tolist() == [0, 2, 5]
    assert torch.equal(targets.masks, torch.stack([parts == 0, parts == 2, parts == 5]))


def test_persons_alone_split_the_parts(two_persons) -> None:
    parts, persons, instances = two_persons
    by_person = mask_targets(parts, persons, None, CIHP)
    by_instance = mask_targets(parts, persons, instances, CIHP)
    assert torch.equal(by_person.classes, by_instance.classes)
    assert torch.equal(by_person.masks, by_instance.masks)


def test_a_label_set_without_persons_has_no_person_masks(two_persons) -> None:
    parts, persons, instances = two_persons
    assert mask_targets(parts, persons, instances, ATR).classes.tolist() == [0, 2, 5, 5]


def test_pixels_outside_instances_are_one_mask_per_part(two_persons) -> None:
    parts, persons, instances = two_persons
    instances[instances == 300] = 0
    instances[0, :4] = 7  # ids on the background are ignored
    targets = mask_targets(parts, persons, instances, CIHP)
    assert targets.classes.tolist() == [0, 2, 5, 5, 20, 20]
    assert torch.equal(targets.masks[2], (parts == 5) & (persons == 2))


def test_part_masks_cover_every_valid_pixel_once() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = torch.randint(0, 20, (24, 16), generator=generator, dtype=torch.uint8)
    parts[torch.rand(24, 16, generator=generator) < 0.2] = 255
    ids = torch.randint(0, 4, (24, 16), generator=generator, dtype=torch.int32)
    targets = mask_targets(parts, ids, ids, CIHP)
    of_parts = targets.classes < CIHP.num_parts
    assert torch.equal(targets.masks[of_parts].sum(0), (parts != 255).long())
    assert torch.equal(targets.masks[~of_parts].sum(0), ((parts != 255) & (ids > 0)).long())
    for part, mask in zip(targets.classes[of_parts], targets.masks[of_parts], strict=True):
        assert (parts[mask] == part).all()
        assert len(ids[mask].unique()) == 1 or part == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_an_ignored_image_has_no_masks(dtype: torch.dtype) -> None:
    targets = mask_targets(torch.full((4, 5), 255, dtype=dtype), torch.ones(4, 5, dtype=torch.int32), None, CIHP)
    assert targets.classes.shape == (0,)
    assert targets.masks.shape == (0, 4, 5)
    assert not targets.valid.any()


def test_maps_of_different_size_are_an_error(two_persons) -> None:
    parts, persons, instances = two_persons
    with pytest.raises(ValueError, match="instances has size"):
        mask_targets(parts, persons, instances[:3], CIHP)


def test_points_are_sampled_like_grid_sample() -> None:
    torch.manual_seed(0)
    targets = [
        MaskTargets(torch.zeros(t, dtype=torch.long), torch.rand(t, 9, 7) > 0.5, torch.rand(9, 7) > 0.3)
        for t in (2, 0, 3)
    ]
    batch = MaskBatch.of(targets)
    points = torch.rand(5, 200, 2)
    points[0, :4] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1 - 1e-7, 0.0]])
    grid = 2 * points[:, :, None] - 1
    masks = torch.cat([target.masks for target in targets]).float()[:, None]
    expected = F.grid_sample(masks, grid, align_corners=False)[:, 0, :, 0]
    assert torch.allclose(batch.sample_masks(points, torch.arange(5)), expected, atol=1e-5)
    valid = torch.stack([target.valid for target in targets]).float()[batch.image, None]
    expected = F.grid_sample(valid, grid, align_corners=False, padding_mode="border")[:, 0, :, 0]
    assert batch.image.tolist() == [0, 0, 2, 2, 2]
    assert torch.allclose(batch.sample_valid(points, batch.image), expected, atol=1e-5)


def test_a_cell_is_valid_if_one_of_its_pixels_is() -> None:
    valid = torch.zeros(8, 8, dtype=torch.bool)
    valid[3, 4] = True
    batch = MaskBatch.of([MaskTargets(torch.zeros(0, dtype=torch.long), torch.zeros(0, 8, 8, dtype=torch.bool), valid)])
    assert batch.valid_cells(2, 2)[0, 0].tolist() == [[False, True], [False, False]]
