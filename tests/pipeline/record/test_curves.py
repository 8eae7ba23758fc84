"""The learning curves of a run that was resumed."""

from pathlib import Path

from m2fp_kd.pipeline.record.report import _curves


def test_a_resumed_run_continues_its_curves_and_other_folders_are_left_out(tmp_path: Path) -> None:
    logs = {"version_2": "1,0.1\n2,0.2\n3,0.3\n", "version_10": "3,0.5\n4,0.6\n", "version_2-copy": "1,0.9\n"}
    for folder, rows in logs.items():
        (tmp_path / "metrics" / folder).mkdir(parents=True)
        (tmp_path / "metrics" / folder / "metrics.csv").write_text(f"step,val/mIoU\n{rows}")
    assert _curves(tmp_path) == {"val/mIoU": [(1, 0.1), (2, 0.2), (3, 0.5), (4, 0.6)]}
