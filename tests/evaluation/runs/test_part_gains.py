from dataclasses import replace

import numpy as np

from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.evaluation.runs.part_gains import part_gains
from m2fp_kd.runtime.provenance import ObjectiveSummary, TeacherCard
from tests.evaluation.runs.test_gains import CLASSIC, LABELS, run


def parts(objective: ObjectiveSummary, seed: int, head: float | None) -> RunReport:
    report = run(objective, seed, 0.4)
    fp32 = replace(report.models["student_fp32"], iou={"background": 0.9, "head": head})
    return replace(report, models=report.models | {"student_fp32": fp32})


def test_gains_are_averaged_over_seeds_with_the_part_in_both_runs() -> None:
    twins = [parts(LABELS, seed, head) for seed, head in enumerate((0.2, 0.4, None))]
    ours = [parts(CLASSIC, seed, head) for seed, head in enumerate((0.3, 0.6, 0.5, 0.9))]
    (found,) = part_gains([*ours, *twins])
    assert found.title == "tiny, resnet18, fpn" and found.objectives == ["0.7 kl + 0.3 ce (T 4)"]
    assert found.parts == ["shoe <left>", "head", "background"], "rare ones first"
    np.testing.assert_allclose(found.gains, [[np.nan], [15], [0]])


def test_teachers_are_named_if_they_differ() -> None:
    other = parts(CLASSIC, 0, 0.3)
    other = replace(other, lineage=replace(other.lineage, teacher=TeacherCard("ours")))
    (found,) = part_gains([parts(LABELS, 0, 0.2), parts(CLASSIC, 0, 0.3), other])
    assert found.objectives == ["0.7 kl + 0.3 ce (T 4), M2FP", "0.7 kl + 0.3 ce (T 4), ours"]


def test_gains_need_a_twin_and_a_common_seed() -> None:
    assert part_gains([parts(CLASSIC, 0, 0.3)]) == []
    assert part_gains([parts(CLASSIC, 0, 0.3), parts(LABELS, 1, 0.3)]) == []
