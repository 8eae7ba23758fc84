from dataclasses import replace
from typing import Any

from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.evaluation.runs.names import short_names
from m2fp_kd.runtime.provenance import Lineage, ObjectiveSummary, TeacherCard
from tests.evaluation.reports import tiny_report


def run(terms: dict[str, float], teacher_terms: tuple[str, ...], temperature: float = 4.0, **lineage: Any) -> RunReport:
    report = tiny_report()
    objective = ObjectiveSummary(terms, teacher_terms, terms.get("kl", 0), temperature)
    return replace(report, lineage=replace(report.lineage, objective=objective, **lineage))


def test_names_hold_the_differences() -> None:
    reports = {
        "a": run({"kl": 0.7, "ce": 0.3}, ("kl",)),
        "b": run({"kl": 0.7, "ce": 0.3}, ("kl",), temperature=1.0),
        "c": run({"ce": 1.0}, ()),
        "d": run({"ce": 1.0}, (), seed=4),
    }
    assert short_names(reports) == {
        "a": "0.7 kl + 0.3 ce (T 4), seed 3",
        "b": "0.7 kl + 0.3 ce (T 1), seed 3",
        "c": "labels only: 1 ce, seed 3",
        "d": "labels only: 1 ce, seed 4",
    }
    other_teacher = run({"kl": 0.7, "ce": 0.3}, ("kl",), teacher=TeacherCard("ours"))
    assert short_names({"a": reports["a"], "b": other_teacher, "c": reports["c"]}) == {
        "a": "0.7 kl + 0.3 ce (T 4), M2FP",
        "b": "0.7 kl + 0.3 ce (T 4), ours",
        "c": "labels only: 1 ce",
    }
    del reports["c"], reports["d"]
    assert short_names(reports) == {"a": "0.7 kl + 0.3 ce (T 4)", "b": "0.7 kl + 0.3 ce (T 1)"}


def test_runs_without_differences_keep_their_own_names() -> None:
    same = tiny_report()
    assert short_names({"one": same}) == {"one": "one"}
    assert short_names({"one": same, "two": same}) == {"one": "one", "two": "two"}
    unknown = replace(tiny_report(), lineage=Lineage())
    assert short_names({"known": same, "unknown": unknown})["unknown"] == "unknown"
