from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from m2fp_kd.distill.training.median_stopping import MedianStopping, below_median, finished_scores
from m2fp_kd.evaluation.report.report import write_report
from tests.evaluation.reports import tiny_report

FINISHED = [[0.1, 0.2, 0.3], [0.2, 0.3, 0.5], [0.3, 0.4, 0.6]]


@pytest.mark.parametrize(
    ("scores", "stopped"),
    [
        ([0.01], False),  # too early to stop
        ([0.2, 0.29], True),  # the others' median after two epochs is 0.3
        ([0.2, 0.3], False),
        ([0.3, 0.1], False),  # the best epoch counts
        ([0.2, 0.3, 0.4], True),  # 0.5 after three
    ],
)
def test_the_best_score_is_compared_with_the_median_at_the_same_epoch(scores: list[float], stopped: bool) -> None:
    assert below_median(scores, FINISHED, first_epochs=1, finished_runs=3) is stopped


def test_too_few_finished_runs_stop_no_run() -> None:
    assert not below_median([0.0, 0.0], FINISHED, first_epochs=1, finished_runs=4)
    assert not below_median([0.0] * 4, FINISHED, first_epochs=1, finished_runs=1)  # no run had a fourth epoch


def trained(curve: list[float], data: str = "sample"):
    config = {"stage": "train", "data": {"name": data}}
    return replace(tiny_report(**config), curves={"val/mIoU": list(enumerate(curve))})


def test_only_runs_of_the_same_data_and_length_count(tmp_path: Path) -> None:
    for name, report in {
        "a": trained([0.1, 0.5]), "stopped": trained([0.1]), "other": trained([0.2, 0.3], "ccp"),
    }.items():  # fmt: skip
        write_report(tmp_path / name, report)
    assert finished_scores(tmp_path, "sample", 2) == [[0.1, 0.5]]


@pytest.mark.parametrize("content", ["{", '{"format": 99}'])
def test_a_broken_report_and_one_of_another_version_do_not_count(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_report(tmp_path / "a", trained([0.1, 0.5]))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "report.json").write_text(content)
    assert finished_scores(tmp_path, "sample", 2) == [[0.1, 0.5]]
    assert "leaves out a report" in caplog.text and str(tmp_path / "old") in caplog.text


def test_the_callback_stops_the_trainer_and_survives_resuming(tmp_path: Path) -> None:
    for name in "abc":
        write_report(tmp_path / name, trained([0.4, 0.5]))
    strategy = SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision)
    trainer = SimpleNamespace(
        max_epochs=2, sanity_checking=False, should_stop=False, callback_metrics={}, strategy=strategy
    )
    first = MedianStopping(tmp_path, "sample", first_epochs=1, finished_runs=3)
    first.on_fit_start(trainer, None)
    trainer.callback_metrics["val/mIoU"] = 0.1
    first.on_validation_end(trainer, None)
    assert not trainer.should_stop
    resumed = MedianStopping(tmp_path, "sample", first_epochs=1, finished_runs=3)
    resumed.load_state_dict(first.state_dict())
    resumed.on_fit_start(trainer, None)
    resumed.on_validation_end(trainer, None)
    assert trainer.should_stop and resumed.scores == [0.1, 0.1]
