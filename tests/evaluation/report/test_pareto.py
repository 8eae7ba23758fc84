import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from m2fp_kd.evaluation.report.pareto import Point, draw_front, front


def test_the_front_in_closed_form() -> None:
    #        0        1        2        3        4        5
    costs = [(3, 1), (1, 3), (2, 2), (2, 3), (3, 2), (4, 1)]
    assert front(costs) == [1, 2, 0]
    assert front([]) == [] and front([(5, 5)]) == [0]
    assert front([(1, 1), (1, 1), (1, 2)]) == [0, 1]  # equal points both stay


def test_the_front_is_exactly_the_points_that_no_other_dominates() -> None:
    costs = [tuple(pair) for pair in np.random.default_rng(0).integers(0, 12, (60, 2)).tolist()]

    def dominated(point: tuple[int, int]) -> bool:
        return any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in costs)

    chosen = front(costs)
    assert sorted(chosen) == [index for index, point in enumerate(costs) if not dominated(point)]
    assert [costs[index][0] for index in chosen] == sorted(costs[index][0] for index in chosen)


@pytest.fixture
def points() -> list[Point]:
    return [
        Point("small <int8>", "openvino, f32", 5, 20, True),
        Point("large", "onnxruntime, f32", 20, 50, True),
        Point("poor", "onnxruntime, f32", 30, 30, False),
        Point("reference", "pytorch, f32", 3000, None, False),
    ]


@pytest.mark.parametrize("log_values", [False, True])
def test_the_picture_names_every_point_and_every_group(points: list[Point], log_values: bool) -> None:
    drawn = draw_front(points, "mIoU %", "title & all", log_values)
    texts = [element.text for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]
    assert {point.label for point in points} | {point.group for point in points} <= set(texts)
    assert {"mIoU %", "title & all", "ms per photo (log)", "100", "1000"} <= set(texts)
    assert draw_front(points, "mIoU %", "title & all", log_values) == drawn


def test_hundredths_of_a_point_stay_small() -> None:
    points = [Point("fp32", "all", 10, 48.17, True), Point("int8", "all", 5, 48.13, True)]
    texts = ElementTree.fromstring(draw_front(points, "mIoU %", "")).iter("{http://www.w3.org/2000/svg}text")
    numbers = [float(text.text) for text in texts if re.fullmatch(r"\d\d\.\d+", text.text or "")]
    assert max(numbers) - min(numbers) > 0.5


def test_labels_do_not_cover_one_another() -> None:
    """Three points so close that labels to their right would overlap."""
    crowd = [Point(f"candidate {index}", "all", 12, 50 + 0.1 * index, True) for index in range(3)]
    corners = [Point("left", "all", 1, 60, False), Point("right", "all", 100, 60, False)]
    texts = ElementTree.fromstring(draw_front([*crowd, *corners], "mIoU %", "")).iter(
        "{http://www.w3.org/2000/svg}text"
    )
    labels = {element.text: element.attrib for element in texts}
    for one, other in combinations([labels[point.label] for point in crowd], 2):
        sides = [re.search("text-anchor: ([a-z]+)", label["style"]) for label in (one, other)]
        assert sides[0][1] != sides[1][1] or abs(float(one["y"]) - float(other["y"])) > 8
