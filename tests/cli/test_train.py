"""`m2fp-kd train` and `python train.py` are one Hydra entry."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_command_and_the_script_compose_the_same_configuration(tmp_path: Path) -> None:
    overrides = ("backbone=resnet18", "data.size=96", "--cfg", "job", "--resolve")
    command = run("-m", "m2fp_kd", "train", *overrides, folder=tmp_path)
    script = run(ROOT / "train.py", *overrides, folder=tmp_path)
    assert command.returncode == script.returncode == 0, command.stderr + script.stderr
    assert command.stdout == script.stdout
    assert f"root: {ROOT / 'data' / 'sample'}\n" in command.stdout and "name: resnet18\n" in command.stdout


def test_hydra_parses_options_before_overrides(tmp_path: Path) -> None:
    done = run("-m", "m2fp_kd", "train", "-h", folder=tmp_path)
    assert done.returncode == 0 and "Groups (GROUP=CHOICE):" in done.stdout


def test_options_under_an_old_name_are_accepted_with_a_warning(tmp_path: Path) -> None:
    done = run("-m", "m2fp_kd", "train", "distill.fade=0.2", "--cfg", "job", "-p", "distill.anneal", folder=tmp_path)
    assert done.stdout.strip() == "0.2"
    assert done.stderr.strip() == "m2fp-kd: 'distill.fade=0.2' uses an old name; write 'distill.anneal=0.2'"


def test_a_wrong_override_ends_with_an_error(tmp_path: Path) -> None:
    done = run("-m", "m2fp_kd", "train", "backbone=unknown", folder=tmp_path)
    assert done.returncode == 1 and "Could not find 'backbone/unknown'" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    program = "import sys; sys.modules['hydra'] = None; from m2fp_kd.cli import main; sys.exit(main(['train']))"
    done = run("-c", program, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("m2fp-kd: hydra is not installed: pip install ")
    assert "[train,compress,serve]" in done.stderr


def test_a_failed_gate_is_a_result_and_the_last_line_names_the_limit(tmp_path: Path) -> None:
    program = """
import sys
import m2fp_kd.pipeline
from m2fp_kd.compress.parity import raise_failed
from m2fp_kd.runtime.checks import Hop
from m2fp_kd.train import main

hop = Hop("fp32 -> int8", 0.95, passed=False, thresholds={"min_pixel_agreement": 0.97}, failed=["min_pixel_agreement"])
m2fp_kd.pipeline.run = lambda cfg: raise_failed([hop])
sys.argv[1:] = ["name=failed"]
main()
"""
    done = run("-c", program, folder=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "HYDRA" not in done.stderr
    assert done.stderr.splitlines()[-1] == "  fp32 -> int8: only 95.00 % of pixels agree (at least 97 %)"
