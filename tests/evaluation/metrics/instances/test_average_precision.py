import numpy as np
import pytest

from m2fp_kd.evaluation.metrics.instances.average_precision import average_precision


@pytest.mark.parametrize(
    ("hits", "truths", "expected"),
    [
        ([True, True], 2, 1),
        ([True, False, True], 2, (1 + 2 / 3) / 2),
        ([False, True, True], 2, 2 / 3),  # 1/2 is raised to the 2/3 of a higher recall
        ([True, False, False], 4, 1 / 4),
        ([False, False], 3, 0),
        ([], 3, 0),
    ],
)
def test_worked_examples(hits: list[bool], truths: int, expected: float) -> None:
    falling = np.arange(len(hits), 0, -1)
    assert average_precision(falling, hits, truths) == pytest.approx(expected)


def test_only_the_order_of_scores_counts() -> None:
    rng = np.random.default_rng(0)
    scores, hits = rng.permutation(30), rng.random(30) < 0.5
    shuffled = rng.permutation(30)
    expected = average_precision(scores, hits, 20)
    assert average_precision(scores[shuffled], hits[shuffled], 20) == expected
    assert average_precision(np.exp(scores / 7), hits, 20) == expected
    assert average_precision(-scores, hits, 20) != expected


def test_equal_scores_keep_their_order() -> None:
    assert average_precision([0.5, 0.5], [True, False], 1) == 1
    assert average_precision([0.5, 0.5], [False, True], 1) == 0.5
