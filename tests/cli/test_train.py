"""`m2fp-kd train` and `python train.py` are one Hydra entry."""

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

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


def test_the_command_cache_is_a_stage_of_the_same_entry(tmp_path: Path) -> None:
    (tmp_path / "teacher.json").touch()
    program = """
import sys
from types import SimpleNamespace
from m2fp_kd.cli import main
def run(cfg):
    print(cfg.stage, cfg.teacher.shard, cfg.teacher.mode, cfg.data.size)
    return {}
sys.modules["m2fp_kd.pipeline"] = SimpleNamespace(run=run)
teacher = ["teacher=cached", "teacher.checkpoint=teacher.json"]
for arguments in (["--shard", "2/64", *teacher, "data.size=96"], teacher, ["data.size=96"], ["--shard=3/2"], ["-h"]):
    try:
        main(["cache", *arguments])
    except SystemExit as end:
        print("exit code", end.code)
"""
    done = run("-c", program, folder=tmp_path)
    lines = [line for line in done.stdout.splitlines() if not line.endswith("loading PyTorch and Lightning")]
    assert lines[:6] == [
        "cache 2/64 cached 96", "exit code 0",
        "cache None cached 160", "exit code 0",
        "exit code 2", "exit code 2",
    ], done.stderr  # fmt: skip
    assert lines[-1] == "exit code 0" and "  m2fp-kd cache --shard 2/64 teacher=cached " in done.stdout
    assert [line.partition(" (")[0] for line in done.stderr.splitlines() if line.startswith("m2fp-kd: ")] == [
        "m2fp-kd: stage=cache needs teacher=cached teacher.checkpoint=FILE",
        "m2fp-kd: --shard: must be I/N, the share I from 1 to N of N, such as 2/8, not '3/2'",
    ]


def test_hydra_parses_options_before_overrides(tmp_path: Path) -> None:
    done = run("-m", "m2fp_kd", "train", "-h", folder=tmp_path)
    assert done.returncode == 0 and "Groups (GROUP=CHOICE):" in done.stdout


def test_options_under_an_old_name_are_accepted_with_a_warning(tmp_path: Path) -> None:
    done = run("-m", "m2fp_kd", "train", "distill.fade=0.2", "--cfg", "job", "-p", "distill.anneal", folder=tmp_path)
    assert done.stdout.strip() == "0.2"
    assert done.stderr.strip() == "m2fp-kd: 'distill.fade=0.2' uses an old name; write 'distill.anneal=0.2'"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["backbone=unknown"], "In 'config': Could not find 'backbone/unknown' Available options in 'backbone': "),
        (
            ["data.sise=96"],
            "Could not override 'data.sise'. To append to your config use +data.sise=96",
        ),
        (["data.size"], "data.size: Error parsing override 'data.size' missing EQUAL"),
        (["data.root=/a=(b"], "data.root=/a=(b: no such folder"),
        (["data.module.limit=[a"], "data.module.limit=[a: "),
        (["data=own", "data.root=gone"], "data.root=gone: no such folder"),
        (["data=own"], "data.root is not set; give data.root=PATH"),
        (["backbone.weights=gone.pt"], "backbone.weights=gone.pt: no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_setting_is_one_line_and_imports_no_torch(tmp_path: Path, overrides: list[str], message: str) -> None:
    (tmp_path / "file").touch()
    program = f"""
import sys
sys.modules["torch"] = None
from m2fp_kd.cli import main
sys.exit(main(["train", *{overrides}]))
"""
    done = run("-c", program, folder=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "HYDRA" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("m2fp-kd: ") and message in line
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_debug_prints_the_traceback(tmp_path: Path) -> None:
    done = run("-m", "m2fp_kd", "train", "data=own", "data.root=gone", "--debug", folder=tmp_path)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("FileNotFoundError: data.root=gone")
    assert "Traceback" in done.stderr


def test_an_error_in_a_run_is_the_last_line(tmp_path: Path) -> None:
    program = """
import os, sys
from types import SimpleNamespace
from m2fp_kd.train import main
def run(cfg):
    assert "HYDRA_FULL_ERROR" not in os.environ
    raise errors.pop()
sys.modules["m2fp_kd.pipeline"] = SimpleNamespace(run=run)
errors = [KeyError("x"), FloatingPointError("the loss is nan"), ValueError("two\\nlines")]
while errors:
    sys.argv[1:] = ["name=failed"]
    print("exit code", main(), file=sys.stderr)
"""
    done = run("-c", program, folder=tmp_path)
    assert "HYDRA" not in done.stderr and done.stderr.count("Traceback") == 1, "that of the defect"
    lines = done.stderr.splitlines()
    assert [before for before, line in pairwise(lines) if line == "exit code 2"] == [
        "m2fp-kd: two lines",
        "m2fp-kd: the loss is nan",
        "m2fp-kd: KeyError: 'x'; this is a defect of m2fp-kd, please report it",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_kills_the_command_with_a_line_that_says_how_to_continue(
    tmp_path: Path, number: signal.Signals
) -> None:
    """An import swallows every exception in it."""
    program = f"""
import signal, sys
from m2fp_kd.train import main

class Interrupted:
    def find_spec(name, *_):
        if name == "m2fp_kd.pipeline":
            try:
                signal.raise_signal({number:d})
            except BaseException:
                print("swallowed")

sys.meta_path.insert(0, Interrupted)
sys.argv[1:] = ["name=stopped"]
sys.exit(main())
"""
    done = run("-c", program, folder=tmp_path)
    assert done.returncode == -number
    assert done.stdout.endswith(" - loading PyTorch and Lightning\n")
    assert done.stdout.count("\n") == 1, "nothing swallowed the signal"
    assert done.stderr == f"m2fp-kd: stopped by {number.name}; the same command continues the run\n"


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    program = "import sys; sys.modules['hydra'] = None; from m2fp_kd.cli import main; sys.exit(main(['train']))"
    done = run("-c", program, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"m2fp-kd: hydra is not installed in {sys.prefix}: pip install ")
    assert "[train,compress,serve]" in done.stderr


def test_without_the_environment_the_script_names_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-I", "-S", ROOT / "train.py"], cwd=tmp_path, capture_output=True, text=True)
    line = f"m2fp-kd: m2fp_kd is not installed in {sys.base_prefix}; `make install` makes an environment, and "
    assert done.returncode == 1 and done.stderr == f"{line}`.venv/bin/python train.py` runs in it\n"


def test_a_failed_gate_is_a_result_and_the_last_line_names_the_limit(tmp_path: Path) -> None:
    program = """
import sys
from types import SimpleNamespace
from m2fp_kd.compress.parity import raise_failed
from m2fp_kd.runtime.checks import Hop
from m2fp_kd.train import main

hop = Hop("fp32 -> int8", 0.95, passed=False, thresholds={"min_pixel_agreement": 0.97}, failed=["min_pixel_agreement"])
sys.modules["m2fp_kd.pipeline"] = SimpleNamespace(run=lambda cfg: raise_failed([hop]))
sys.argv[1:] = ["name=failed"]
sys.exit(main())
"""
    done = run("-c", program, folder=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "HYDRA" not in done.stderr
    assert done.stderr.splitlines()[-1] == "  fp32 -> int8: only 95.00 % of pixels agree (at least 97 %)"
