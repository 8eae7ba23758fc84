"""Averages over views of a photo, and the agreement of both orientations."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from m2fp_kd.data.teacher_cache import TeacherCache, cache_key, stored_key
from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.distill.teachers.tta import SINGLE_VIEW, Tta, mirrored
from m2fp_kd.distill.teachers.whole_photo import WholePhotoTeacher, read_teacher_card
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.outputs import log_parts
from m2fp_kd.runtime.geometry import Geometry, Placement, place
from m2fp_kd.runtime.part_map import part_map
from tests.distill.tiny import tiny_m2fp

CIHP = LABEL_SETS["cihp"]
SWAP = list(CIHP.flip_permutation)
SAMPLE = Path(__file__).parents[3] / "data" / "sample" / "teacher"
PHOTO = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)


def teacher(tta: Tta, size: int = 64, student_size: int = 64) -> WholePhotoTeacher:
    return WholePhotoTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(size))], Geometry(student_size), tta)


def flipped(photo: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(photo[:, ::-1])


def test_mirrored_flips_the_photo_and_swaps_left_and_right() -> None:
    parts = torch.randn(1, 20, 3, 8)
    placement = Placement((12, 24), (12, 24), (12, 32))  # six of eight columns show the photo
    found = mirrored(parts, placement, SWAP)
    assert torch.equal(found[..., :6], parts[:, SWAP][..., :6].flip(-1))
    assert torch.equal(mirrored(found, placement, SWAP)[..., :6], parts[..., :6])


@pytest.mark.parametrize("width", [21, 22, 23])
def test_a_ramp_is_mirrored_exactly_if_the_photo_ends_within_a_cell(width: int) -> None:
    """f(x) = x, at x = 4 j + 2 pixels, becomes width - x; bilinear interpolation is exact for it."""
    x = 4 * torch.arange(8.0) + 2
    found = mirrored(x.expand(1, 20, 3, 8), Placement((12, width), (12, width), (12, 32)), SWAP)
    inside = (x <= width - 2).nonzero().flatten()
    torch.testing.assert_close(found[0, 0, 0, inside], width - x[inside])


def test_scales_are_rounded_to_possible_sizes() -> None:
    tta = Tta(flip=True, scales=[0.1, 0.75, 1, 1.3])  # type: ignore[arg-type]
    assert [geometry.size for geometry in tta.geometries(Geometry(160))] == [32, 128, 160, 192]
    assert tta.views == 8 and SINGLE_VIEW.views == 1 and Tta(scales=(1,)) == SINGLE_VIEW


@pytest.mark.parametrize("scales", [[], [1, 0], [-1.0]])
def test_impossible_scales_are_refused(scales: list[float]) -> None:
    with pytest.raises(ValueError, match=r"teacher\.tta\.scales must be factors above 0"):
        Tta(scales=tuple(scales))


def test_the_mean_of_the_views_equals_one_computed_by_hand() -> None:
    network, total = tiny_m2fp().eval(), torch.zeros(1, 20, 32, 32)
    for size in (64, 128, 192):
        for photo, mirror in ((PHOTO, False), (flipped(PHOTO), True)):
            canvas = place(photo, Geometry(size))[0]
            with torch.no_grad():
                answer = log_parts(network(torch.from_numpy(canvas).permute(2, 0, 1)[None].float()), 20).exp()
            answer = F.interpolate(answer, size=(32, 32), mode="bilinear", antialias=True)
            total += answer[:, SWAP].flip(-1) if mirror else answer
    found = teacher(Tta(flip=True, scales=(0.5, 1, 1.5)), 128, 128).log_parts(PHOTO)
    rows = 27  # 40 x 48 pixels become 107 x 128: the whole width
    np.testing.assert_allclose(np.exp(found[:1, :, :rows]), (total / 6)[:, :, :rows], atol=1e-5)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)


def test_both_orientations_agree_with_flip() -> None:
    both = teacher(Tta(flip=True)).log_parts(PHOTO)
    single = teacher(SINGLE_VIEW).log_parts(PHOTO)
    assert np.allclose(both[1], both[0][SWAP][..., ::-1], atol=1e-5)
    assert not np.allclose(single[1], single[0][SWAP][..., ::-1], atol=1e-2)
    again = teacher(Tta(flip=True)).log_parts(flipped(PHOTO))
    assert np.allclose(again, both[::-1], atol=1e-5)


@pytest.mark.parametrize("tta", [SINGLE_VIEW, Tta(flip=True), Tta(scales=(1, 1.5))])
def test_a_teachers_own_part_map_uses_its_views(tta: Tta) -> None:
    averaged = teacher(tta)
    found = averaged.parse(PHOTO)
    assert np.array_equal(found, part_map(averaged.log_parts(PHOTO)[0], averaged.placement(PHOTO)))
    assert found.shape == PHOTO.shape[:2]


def test_averaged_views_are_on_the_students_grid() -> None:
    assert teacher(Tta(flip=True, scales=(1, 1.5)), size=64, student_size=32).log_parts(PHOTO).shape == (
        2,
        20,
        8,
        8,
    )


def test_the_key_depends_on_the_views_and_not_for_a_single_view() -> None:
    """The embedded sample's cache was made before test-time augmentation existed."""
    card = read_teacher_card(SAMPLE, CIHP)
    key = cache_key(str(card.sha256), Geometry(160), Geometry(160))
    assert key == stored_key(SAMPLE) and len(TeacherCache(SAMPLE, key).names) > 400
    views = [None, {"flip": True, "scales": (1.0,)}, {"flip": True, "scales": (0.75, 1.0)}]
    keys = {cache_key(str(card.sha256), Geometry(160), Geometry(160), tta=tta) for tta in views}
    assert len(keys) == 3 and key in keys
