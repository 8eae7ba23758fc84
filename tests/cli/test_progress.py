"""The progress bar."""

import io

import pytest

from m2fp_kd.cli import progress
from m2fp_kd.cli.progress import WIDTH, Progress, bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("done", "total", "seconds", "expected"),
    [
        (0, 20, 0.0, f"{'░' * WIDTH} 0/20  a.jpg"),
        (5, 20, 10.0, f"{'█' * 5}{'░' * 15} 5/20  0.5/s  0:30 left  a.jpg"),
        (10, 1000, 10.0, f"{'░' * WIDTH} 10/1000  1.0/s  16:30 left  a.jpg"),
        (25, 20, 10.0, f"{'█' * WIDTH} 25/20  2.5/s  0:00 left  a.jpg"),
        (7, None, 10.0, "7  a.jpg"),
    ],
)
def test_the_text_of_the_bar(done, total, seconds, expected):
    assert bar(done, total, seconds, "a.jpg") == expected


def test_a_terminal_gets_one_line_and_a_file_gets_none(monkeypatch):
    for stream, expected in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(progress.sys, "stderr", stream)
        shown = Progress(3)
        for done in range(3):
            shown.show(done, "a.jpg")
        shown.clear()
        assert ("0/3" in stream.getvalue()) == expected
        assert "1/3" not in stream.getvalue() and "\n" not in stream.getvalue(), "drawn too often, or on several lines"
