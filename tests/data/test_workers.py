"""Processes that load photos end with the process that started them."""

import os
import signal
import subprocess
import sys

import pytest

from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.splits import synthetic_splits
from m2fp_kd.data.workers import end_with_parent
from m2fp_kd.labels import load_label_set

PROGRAM = """
import time
from m2fp_kd.data.workers import end_with_parent, start_method

def load(seconds):
    print("starting", flush=True)
    time.sleep(seconds)
    end_with_parent()
    time.sleep(600)

if __name__ == "__main__":
    worker = start_method().Process(target=load, args=(SECONDS,))
    worker.start()
    time.sleep(600)
"""


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_worker_ends_when_its_parent_is_killed_even_while_it_starts(tmp_path, seconds: int) -> None:
    (tmp_path / "program.py").write_text(PROGRAM.replace("SECONDS", str(seconds)))
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py")], env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "starting\n"
        parent.send_signal(signal.SIGKILL)
        assert parent.stdout.read() == "", "the pipe closes when the worker has ended as well"


def test_the_data_modules_workers_do_so() -> None:
    module = ParsingDataModule(synthetic_splits(64, length=4, val_length=2), load_label_set("cihp"), 64, 2, workers=1)
    assert module.train_dataloader().worker_init_fn is end_with_parent
