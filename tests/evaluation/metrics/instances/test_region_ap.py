"""APr against COCO's evaluator, where the definitions agree, and against worked examples."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as run_lengths
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from m2fp_kd.evaluation.metrics.instances.found import FoundRegion
from m2fp_kd.evaluation.metrics.instances.region_ap import RegionClaims, region_ap, region_ap_m2fp
from m2fp_kd.evaluation.metrics.instances.truth import Truth
from tests.evaluation.metrics.instances.scenes import NUM_PARTS, Scene, random_scenes, strip

LOW, HIGH = (0.1013, 0.2017, 0.3019, 0.4023), (0.5027, 0.6029, 0.7031, 0.8037, 0.9041)
"""No fractions of small numbers: COCO accepts an overlap that equals the threshold, the papers do not."""


def region_claims(scenes: list[Scene]) -> RegionClaims:
    claims = RegionClaims(NUM_PARTS)
    for scene in scenes:
        claims.add(scene.found.regions, Truth.of(scene.parts, scene.humans, NUM_PARTS))
    return claims


def coco_ap(scenes: list[Scene], thresholds: tuple[float, ...], sampled: bool = False) -> np.ndarray:
    """Return the mean AP (T,) over the parts by pycocotools.

    Sampling between every two possible recalls gives the area under the curve; `sampled` keeps COCO's 101 recalls.
    """
    truths, results = [], []
    for image, scene in enumerate(scenes, start=1):
        pairs = {(human, part) for human, part in zip(scene.humans.flat, scene.parts.flat, strict=True) if human}
        for human, part in sorted(pairs):
            encoded = _encoded((scene.humans == human) & (scene.parts == part))
            truths.append(encoded | {"id": len(truths) + 1, "image_id": image, "category_id": int(part), "iscrowd": 0})
        for region in scene.found.regions:
            results.append(
                _encoded(region.mask) | {"image_id": image, "category_id": region.part, "score": region.score}
            )
    values = []
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        categories = sorted({truth["category_id"] for truth in truths})
        images = [{"id": image, "height": 64, "width": 64} for image in range(1, len(scenes) + 1)]
        coco.dataset = {"images": images, "annotations": truths, "categories": [{"id": one} for one in categories]}
        coco.createIndex()
        found = coco.loadRes([result for result in results if result["category_id"] in categories])
        for category in categories:
            evaluator = COCOeval(coco, found, "segm")
            evaluator.params.catIds = [category]
            evaluator.params.iouThrs = np.array(thresholds)
            evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
            evaluator.params.maxDets = [1000]
            if not sampled:
                count = len(coco.getAnnIds(catIds=[category]))
                evaluator.params.recThrs = (np.arange(count) + 0.5) / count
            evaluator.evaluate()
            evaluator.accumulate()
            values.append(evaluator.eval["precision"][:, :, 0, 0, 0].mean(axis=1))
    return np.mean(values, axis=0)


def _encoded(mask: np.ndarray) -> dict[str, object]:
    return {"segmentation": run_lengths.encode(np.asfortranarray(mask, np.uint8)), "area": int(mask.sum())}


@pytest.mark.parametrize("seed", range(8))
def test_equals_cocos_ap_if_a_prediction_overlaps_one_truth(seed: int) -> None:
    scenes = random_scenes(seed, apart=True)
    claims = region_claims(scenes)
    ours = [region_ap(claims, threshold) for threshold in LOW + HIGH]
    np.testing.assert_allclose(ours, coco_ap(scenes, LOW + HIGH), atol=1e-12)
    assert 0 < ours[4] < 1
    np.testing.assert_allclose(ours, coco_ap(scenes, LOW + HIGH, sampled=True), atol=0.02)


@pytest.mark.parametrize("seed", range(8))
def test_equals_cocos_ap_above_a_half_in_crowds(seed: int) -> None:
    """Persons do not share pixels, so more than half of a region can lie in only one truth."""
    scenes = random_scenes(seed)
    claims = region_claims(scenes)
    np.testing.assert_allclose([region_ap(claims, threshold) for threshold in HIGH], coco_ap(scenes, HIGH), atol=1e-12)


def test_a_second_region_on_a_truth_is_wrong_except_for_m2fp() -> None:
    claims = RegionClaims(NUM_PARTS)
    truth = Truth.of(strip(1, 1, 0, 1, 1), strip(1, 1, 0, 2, 2), NUM_PARTS)
    first, second = strip(1, 1, 0, 0, 0) > 0, strip(0, 0, 0, 1, 1) > 0
    claims.add([FoundRegion(1, first, 0.9), FoundRegion(1, first, 0.8), FoundRegion(1, second, 0.7)], truth)
    assert region_ap(claims, 0.5) == pytest.approx((1 + 2 / 3) / 2)
    # Three correct ones of two; the three other parts are absent and count as 0.
    assert region_ap_m2fp(claims, 0.5) == pytest.approx(3 / 2 / 4)


def test_only_parts_of_true_persons_count() -> None:
    claims = RegionClaims(NUM_PARTS)
    truth = Truth.of(strip(1, 1, 2, 0), strip(1, 1, 1, 0), NUM_PARTS)
    claims.add([FoundRegion(1, strip(1, 1, 0, 0) > 0, 0.9), FoundRegion(3, strip(0, 0, 0, 1) > 0, 0.8)], truth)
    assert region_ap(claims, 0.5) == 0.5  # 1 and 0 of parts 1 and 2
    assert region_ap_m2fp(claims, 0.5) == pytest.approx(1 / 3)  # and 0 of part 4, which is absent; not of part 3


def test_errors_name_the_mismatch() -> None:
    truth = Truth.of(strip(1, 0), strip(1, 0), NUM_PARTS)
    with pytest.raises(ValueError, match=r"region \(1, 3\) and truth \(1, 2\)"):
        RegionClaims(NUM_PARTS).add([FoundRegion(1, strip(1, 0, 0) > 0, 0.5)], truth)
    for part in (0, NUM_PARTS):
        with pytest.raises(ValueError, match=rf"region of part {part}, but a person's parts are 1\.\.4"):
            RegionClaims(NUM_PARTS).add([FoundRegion(part, strip(1, 0) > 0, 0.5)], truth)
