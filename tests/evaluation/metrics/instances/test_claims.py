import numpy as np

from m2fp_kd.evaluation.metrics.instances.matching import NOBODY, Claims


def test_the_best_score_above_the_threshold_claims_the_truth() -> None:
    claims = Claims()
    assert claims.add([0.9, 0.8, 0.7, 0.6], np.array([[0.4, 0.1], [0.6, 0.2], [0.9, 0.1], [0.1, 0.7]])) == [0, 0, 0, 1]
    assert claims.hits(0.3).tolist() == [True, False, False, True]
    assert claims.hits(0.5).tolist() == [False, True, False, True]  # the one with the best score is not above it
    assert claims.hits(0.6).tolist() == [False, False, True, True]  # above means more than
    assert claims.above(0.3).tolist() == [True] * 4


def test_truths_of_different_photos_stay_separate() -> None:
    claims = Claims()
    claims.add([0.5], np.array([[0.8]]))
    claims.add([0.6, 0.9], np.zeros((2, 0)))
    claims.add([0.7], np.array([[0.2, 0.9]]))
    assert (claims.count, claims.truths) == (3, [0, NOBODY, NOBODY, 2])
    assert claims.hits(0.5).tolist() == [True, False, False, True]
    assert not claims.hits(0.0)[1]


def test_a_prediction_does_not_fall_back_to_a_second_truth() -> None:
    """VOC's rule: the second prediction also overlaps the free truth, but less than the claimed one."""
    claims = Claims()
    claims.add([0.9, 0.8], np.array([[0.5, 0.0], [0.4, 0.3]]))
    assert claims.hits(0.2).tolist() == [True, False]
