import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.evaluation.speed import alone
from m2fp_kd.evaluation.speed.alone import CpuUse, one_at_a_time
from m2fp_kd.evaluation.speed.measure import measure_callable


def test_other_cores_in_closed_form() -> None:
    before, after = CpuUse(wall=10, own=1, all=100), CpuUse(wall=12, own=2.5, all=105)
    assert before.other_cores(after) == pytest.approx((5 - 1.5) / 2)
    assert before.other_cores(CpuUse(12, 9, 105)) == 0, "a coarse clock gives no negative load"
    assert before.other_cores(CpuUse(12, 2, None)) is None


def test_the_machines_time_is_without_idle_and_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 20 30 9999 8888 4 5 6 0 0\ncpu0 1 1 1 1\n")
    monkeypatch.setattr(alone, "STAT", stat)
    monkeypatch.setattr(alone.os, "sysconf", lambda name: 100)
    assert CpuUse.now().all == pytest.approx(1.65)
    stat.unlink()
    assert CpuUse.now().all is None


@pytest.mark.skipif(not alone.STAT.is_file(), reason="needs /proc/stat")
def test_a_measurement_knows_the_load_of_others() -> None:
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        timed = measure_callable(lambda _: time.sleep(0.05), [np.zeros((4, 4, 3), np.uint8)], runs=10)
    finally:
        spinning.kill()
        spinning.wait()
    assert timed.other_cores is not None and timed.other_cores > 0.25


def test_measurements_take_turns() -> None:
    code = "from m2fp_kd.evaluation.speed.alone import one_at_a_time\nwith one_at_a_time(): print('in', flush=True)"
    with one_at_a_time():
        other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1.5)
    assert other.communicate(timeout=20)[0] == "in\n"
