"""The script that makes the package's demo."""

import numpy as np
import pytest

from benchmarks.demo import make_demo
from m2fp_kd.runtime.artefact import find_model, load_card, load_checks, save_checks
from m2fp_kd.runtime.checks import CheckResults, Hop, Score
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.provenance import TeacherCard
from tests.runtime.conftest import artefact  # noqa: F401  fixture

FAILED = Hop("a -> b", 0.9, passed=False)
GOOD = CheckResults(parity=(Hop("fp32 -> int8", 0.99),), score=Score("photos", 5, 0.5))


def test_the_demo_is_the_artefact_with_its_checks_and_more_licences(artefact, tmp_path):  # noqa: F811
    source = artefact(teacher=TeacherCard(licence="research use"))
    save_checks(find_model(source), GOOD)
    for _ in range(2):
        make_demo(source, tmp_path / "demo", ["Apache-2.0", "research use"])
    demo = find_model(tmp_path / "demo")
    assert load_card(demo).teacher.licence == "research use; Apache-2.0"
    assert load_checks(demo) == GOOD
    demo.with_name("card.json").unlink()
    assert load_card(demo).teacher.licence == "research use; Apache-2.0", "the embedded card has them too"
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    np.testing.assert_array_equal(*(Parser.load(one)(photo).part_map for one in (source, demo)))


@pytest.mark.parametrize(
    ("checks", "licences", "reason"),
    [
        (CheckResults(parity=(FAILED,), score=GOOD.score), ["x"], "failed the gate of a -> b"),
        (CheckResults(), ["x"], "has no score"),
        (GOOD, [], "names no licence"),
    ],
)
def test_an_unfit_artefact_leaves_the_demo_as_it_was(artefact, tmp_path, checks, licences, reason):  # noqa: F811
    source = artefact()
    save_checks(find_model(source), checks)
    with pytest.raises(ValueError, match=reason):
        make_demo(source, tmp_path / "demo", licences)
    assert not (tmp_path / "demo").exists()
