"""Synthetic scenes: determinism, exact consistent labels, the person's own left and right, layout on disk."""

from random import Random

import numpy as np
import pytest

from m2fp_kd.data.layouts import m2fp_records
from m2fp_kd.data.reading import read_record
from m2fp_kd.data.synthetic import draw_scene, write_dataset
from m2fp_kd.data.synthetic.anatomy import LEFT, RIGHT, Figure, Limb, Pose, draw_build
from m2fp_kd.data.synthetic.canvas import Canvas, capsule_outline, hull
from m2fp_kd.data.synthetic.parts import PARTS, Part
from m2fp_kd.data.synthetic.person import Person
from m2fp_kd.data.synthetic.scene import _majority, _number
from m2fp_kd.labels import LABEL_SETS

MAPS = ("image", "parts", "persons", "instances")


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(seed, 96) for seed in range(120)]


def test_a_scene_is_a_function_of_its_seed(scenes):
    again = draw_scene(5, 96)
    for name in MAPS:
        np.testing.assert_array_equal(getattr(again, name), getattr(scenes[5], name))
    assert again.name == scenes[5].name
    assert (scenes[6].image != scenes[5].image).any()
    assert (scenes[6].parts != scenes[5].parts).any()


def test_scenes_do_not_touch_the_global_generators():
    import random

    random.seed(0)
    np.random.seed(0)
    before = random.random(), np.random.random()
    random.seed(0)
    np.random.seed(0)
    draw_scene(1, 64)
    assert (random.random(), np.random.random()) == before


def test_types_and_shapes():
    photo = draw_scene(3, (64, 112))
    assert photo.image.shape == (64, 112, 3) and photo.image.dtype == np.uint8
    assert photo.parts.shape == photo.persons.shape == photo.instances.shape == (64, 112)
    assert (photo.parts.dtype, photo.persons.dtype, photo.instances.dtype) == (np.uint8, np.int32, np.int32)
    assert photo.image.flags.writeable
    LABEL_SETS["cihp"].check(photo.parts, photo.name)


def test_parts_are_those_of_the_label_set():
    assert [part.name.lower().replace("_", "") for part in Part] == [
        name.lower().replace("-", "").replace("_", "").replace(" ", "") for name in LABEL_SETS["cihp"].parts
    ]


def test_odd_sizes_are_exact():
    assert draw_scene(3, (65, 33)).parts.shape == (65, 33)


def test_label_maps_agree(scenes):
    for photo in scenes:
        background = photo.parts == 0
        np.testing.assert_array_equal(background, photo.persons == 0)
        np.testing.assert_array_equal(background, photo.instances == 0)
        triples = np.unique(
            np.stack([photo.instances, photo.persons, photo.parts.astype(np.int32)]).reshape(3, -1), axis=1
        )
        instances, persons, parts = triples
        assert len(np.unique(instances)) == triples.shape[1], "an instance has one person and one part"
        assert len(set(zip(persons, parts, strict=True))) == triples.shape[1], "a person and a part have one instance"
        assert list(instances) == list(range(triples.shape[1])), "instances are numbered without gaps"
        assert list(np.unique(persons)) == list(range(persons.max() + 1)), "persons are numbered without gaps"


def test_number_of_persons():
    assert draw_scene(0, 64, persons=(0, 0)).parts.max() == 0
    assert all(draw_scene(seed, 64, persons=(1, 1)).persons.max() <= 1 for seed in range(10))
    counts = [draw_scene(seed, 96, persons=(6, 6)).persons.max() for seed in range(10)]
    assert max(counts) == 6 and min(counts) >= 3


@pytest.mark.parametrize("persons", [(2, 1), (-1, 2), (1, 12)])
def test_persons_out_of_range(persons):
    with pytest.raises(ValueError, match="persons"):
        draw_scene(0, 64, persons)


def test_size_out_of_range():
    with pytest.raises(ValueError, match="too small"):
        draw_scene(0, (64, 16))


def test_every_part_occurs_often_enough(scenes):
    """Count scenes with at least 4 pixels of a part: no part is rare, and small accessories are not everywhere."""
    shares = np.mean([np.bincount(photo.parts.ravel(), minlength=PARTS) >= 4 for photo in scenes], axis=0)
    assert shares.min() > 0.12, dict(zip(Part, shares, strict=True))
    assert shares[[Part.HAIR, Part.FACE, Part.UPPER_CLOTHES]].min() > 0.7
    assert shares[[Part.SUNGLASSES, Part.SCARF, Part.GLOVE, Part.SOCKS]].max() < 0.6
    pixels = np.mean([np.bincount(photo.parts.ravel(), minlength=PARTS) for photo in scenes], axis=0) / 96**2
    assert 0.4 < pixels[0] < 0.85


def test_left_and_right_are_balanced(scenes):
    pixels = np.sum([np.bincount(photo.parts.ravel(), minlength=PARTS) for photo in scenes], axis=0)
    for left, right in LABEL_SETS["cihp"].flip_pairs:
        assert 0.6 < pixels[left] / pixels[right] < 1.6


def _stand(yaw: float) -> Figure:
    arm, leg = Limb(0.3, 0.0, 0.2, 0.0), Limb(0.1, 0.0, 0.0, 0.0)
    pose = Pose("standing", {LEFT: arm, RIGHT: arm}, {LEFT: leg, RIGHT: leg}, (0.0, 0.0), 0.0)
    return Figure(draw_build(Random(0)), pose, (100.0, 100.0), 150.0, yaw, 0.0)


def test_own_left_is_on_the_right_of_the_image_when_frontal():
    frontal, behind = _stand(0.0), _stand(np.pi)
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        assert frontal.at(joint, LEFT)[0] > frontal.at(joint, RIGHT)[0]
        assert behind.at(joint, LEFT)[0] < behind.at(joint, RIGHT)[0]
    assert (
        frontal.at("ankle", LEFT)[1] > frontal.at("knee", LEFT)[1] > frontal.at("shoulder", LEFT)[1] > frontal.head[1]
    )


def _draw_person(seed: int, yaw: float) -> np.ndarray:
    canvas = Canvas(320, 320, (0.0, -1.0))
    canvas.material(0, (90, 90, 90))
    Person(canvas, Random(seed), 1, (160.0, 170.0), 300.0, yaw, 0.1).draw()
    codes = canvas.develop(2).codes
    return np.where(codes > 0, codes - PARTS, 0)


def test_labels_follow_the_persons_own_sides():
    """Compare mean columns of drawn pixels over many poses and outfits: limbs may cross, shoulders do not."""
    frontal, behind, checked = 0, 0, 0
    for seed in range(40):
        for yaw in (0.0, np.pi):
            drawn = _draw_person(seed, yaw)
            for left, right in (
                (Part.LEFT_ARM, Part.RIGHT_ARM),
                (Part.LEFT_LEG, Part.RIGHT_LEG),
                (Part.LEFT_SHOE, Part.RIGHT_SHOE),
            ):
                columns = [np.nonzero(drawn == part)[1] for part in (left, right)]
                if min(map(len, columns)) < 20:
                    continue
                gap = columns[0].mean() - columns[1].mean()
                checked += 1
                frontal += yaw == 0.0 and gap < 0
                behind += yaw != 0.0 and gap > 0
    assert checked > 100
    assert frontal + behind < 0.06 * checked


def test_no_face_from_behind():
    for seed in range(20):
        seen_from_behind, seen_from_front = _draw_person(seed, np.pi), _draw_person(seed, 0.0)
        assert (seen_from_front == Part.FACE).sum() > 100
        assert (seen_from_behind == Part.SUNGLASSES).sum() == 0
        bald = (seen_from_front == Part.HAIR).sum() == 0 or (seen_from_behind == Part.HAIR).sum() == 0
        if not bald:  # only ears are visible
            assert (seen_from_behind == Part.FACE).sum() < 0.25 * (seen_from_front == Part.FACE).sum()


def test_image_and_labels_share_their_edges():
    """The colour of a plain shape on a plain ground changes exactly where the label does."""
    canvas = Canvas(128, 128, (0.0, -1.0))
    canvas.material(0, (0, 0, 0))
    ink = canvas.material(25, (200, 100, 50))
    canvas.capsule(ink, (30.0, 40.0), 14.0, (90.0, 80.0), 8.0)
    developed = canvas.develop(1)
    np.testing.assert_array_equal(developed.colours[..., 0] > 0, developed.codes == 25)
    halved = canvas.develop(2)
    codes = _majority(halved.codes)
    np.testing.assert_array_equal(codes[halved.colours[..., 0] == 200], 25)
    np.testing.assert_array_equal(codes[halved.colours[..., 0] == 0], 0)


def test_majority_of_blocks():
    blocks = [
        ([1, 1, 1, 2], 1),
        ([2, 1, 1, 3], 1),
        ([2, 3, 1, 1], 1),
        ([2, 1, 3, 1], 1),
        ([4, 5, 4, 5], 4),
        ([7, 8, 9, 6], 7),
    ]
    for block, expected in blocks:
        assert _majority(np.array(block, np.uint8).reshape(2, 2)) == expected


def test_numbering_closes_gaps():
    codes = np.array([[0, 25, 33], [85, 85, 33]], np.uint8)
    parts, persons, instances = _number(codes)
    np.testing.assert_array_equal(parts, [[0, 5, 13], [5, 5, 13]])
    np.testing.assert_array_equal(persons, [[0, 1, 1], [2, 2, 1]])
    np.testing.assert_array_equal(instances, [[0, 1, 2], [3, 3, 2]])


def test_outlines():
    points = np.array(capsule_outline((0.0, 0.0), 2.0, (10.0, 0.0), 1.0))
    to_axis = np.hypot(points[:, 0] - np.where(points[:, 0] < 5, 0, 10), points[:, 1])
    np.testing.assert_allclose(to_axis, np.where(points[:, 0] < 5, 2.0, 1.0))
    assert points[:, 0].min() == -2.0 and points[:, 0].max() == 11.0
    assert set(hull([(0, 0), (2, 0), (2, 2), (0, 2), (1, 1), (1, 0)])) == {(0, 0), (2, 0), (2, 2), (0, 2)}


def test_images_have_contrast_and_variety(scenes):
    means = np.array([photo.image.mean() for photo in scenes])
    assert 50 < means.mean() < 160 and means.std() > 12
    assert np.mean([photo.image.std() for photo in scenes]) > 25


def test_layout_round_trip(tmp_path):
    write_dataset(tmp_path, "Training", range(3), (64, 80))
    write_dataset(tmp_path, "Validation", [100], 64, persons=(2, 2))
    records = m2fp_records(tmp_path, "Training")
    assert [record.name for record in records] == ["00000000", "00000001", "00000002"]
    for seed, record in enumerate(records):
        photo, drawn = read_record(record, LABEL_SETS["cihp"]), draw_scene(seed, (64, 80))
        for name in MAPS[1:]:
            np.testing.assert_array_equal(getattr(photo, name), getattr(drawn, name))
        assert np.abs(photo.image.astype(int) - drawn.image).mean() < 12
    assert len(m2fp_records(tmp_path, "Validation")) == 1
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 16 and not any("tmp" in name or ".writing" in name for name in files)


def test_unknown_split(tmp_path):
    with pytest.raises(ValueError, match="split"):
        write_dataset(tmp_path, "training", [0], 64)
