"""Whole runs that torchrun starts: two processes on one machine, and two 'machines' on loopback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from m2fp_kd.evaluation.report.report import read_report
from tests.distill.one_of_two import ROOT
from tests.distill.two_processes import free_port

pytestmark = pytest.mark.long

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]

PLACES = {
    "one machine": [["--nproc-per-node", "2"]],
    "two machines": [["--nproc-per-node", "1", "--nnodes", "2", "--node-rank", rank] for rank in ("0", "1")],
}
"""Options of each torchrun."""

ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
"""Variables of a process that imports this checkout."""


def together(place: str, overrides: list[str]) -> tuple[list[int], str]:
    """Run `train.py` by each torchrun of a place."""
    address = ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    started = [
        subprocess.Popen(
            [*TORCHRUN, *options, *address, str(ROOT / "train.py"), *overrides],
            env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for options in PLACES[place]
    ]  # fmt: skip
    try:
        printed = [process.communicate(timeout=400)[0] for process in started]
        return [process.returncode for process in started], "\n".join(printed)
    finally:
        for process in started:
            process.kill()


@pytest.mark.parametrize("place", PLACES)
def test_one_process_of_all_saves_compresses_and_reports(place: str, scenes: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    overrides = [
        "trainer=ddp", "trainer.accelerator=cpu", "data=cihp", f"data.root={scenes}", "data.size=64",
        "data.batch_size=2", "backbone=mobilenetv3_small", "student.network.width=16", "teacher=none",
        "distill=labels", "logger=csv", "trainer.max_epochs=1", "trainer.precision=32-true", "compress=none",
        f"run_dir={run_dir}",
    ]  # fmt: skip
    codes, printed = together(place, overrides)
    assert not any(codes), printed
    assert printed.count("2 processes: a batch has 4 photos, 2 of each process") == 1
    assert printed.count("report: ") == 1
    report = read_report(run_dir / "report.json")
    assert list(report.models) == ["student_fp32"] and report.curves["val/mIoU"]
    codes, printed = together(place, overrides)
    assert not any(codes), printed
    assert printed.count("reusing the finished student") == printed.count("report: ") == 1
