"""A report whose process is killed at any moment: no file is half-written, and the same call writes the rest."""

from itertools import count
from pathlib import Path

from m2fp_kd.evaluation.report.report import write_report
from tests.evaluation.reports import tiny_pictures, tiny_report
from tests.hostile.killing import killed, whole_files


def test_a_killed_report_is_written_by_the_same_call(tmp_path: Path) -> None:
    report, pictures = tiny_report(), tiny_pictures()[:1]
    write_report(tmp_path / "alone", report, pictures)
    right = whole_files(tmp_path / "alone")
    for moment in count(1):
        folder = tmp_path / str(moment)
        folder.mkdir()
        if not killed(lambda folder=folder: write_report(folder, report, pictures), folder, moment):
            break
        left = whole_files(folder)
        assert left.items() <= right.items(), "half-written"
        assert "report.json" not in left or left == right, "it is written last"
        write_report(folder, report, pictures)
        assert whole_files(folder) == right
        assert not list(folder.rglob(".writing-*")), "the killed process's temporary files are removed"
    assert moment > 3 * 2, "three files, each written and then moved"
