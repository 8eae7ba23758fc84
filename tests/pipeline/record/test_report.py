"""Learning curves of a resumed run, and times of a teacher."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from m2fp_kd.data.layouts import m2fp_records
from m2fp_kd.pipeline.record.report import _curves, _teacher_times


def test_a_resumed_run_continues_its_curves_and_other_folders_are_left_out(tmp_path: Path) -> None:
    logs = {"version_2": "1,0.1\n2,0.2\n3,0.3\n", "version_10": "3,0.5\n4,0.6\n", "version_2-copy": "1,0.9\n"}
    for folder, rows in logs.items():
        (tmp_path / "metrics" / folder).mkdir(parents=True)
        (tmp_path / "metrics" / folder / "metrics.csv").write_text(f"step,val/mIoU\n{rows}")
    assert _curves(tmp_path) == {"val/mIoU": [(1, 0.1), (2, 0.2), (3, 0.5), (4, 0.6)]}


@pytest.mark.parametrize("threads", [None, 2])
def test_a_teacher_is_timed_with_the_threads_of_the_students(scenes: Path, threads: int | None) -> None:
    used = set()
    before = torch.get_num_threads()
    whole = SimpleNamespace(to=lambda device: None, parse=lambda photo: used.add(torch.get_num_threads()))
    times = _teacher_times(whole, m2fp_records(scenes, "Validation"), threads)
    assert times["threads"] == threads and times["p50_ms"] >= 0
    assert used == {threads or before} and torch.get_num_threads() == before
