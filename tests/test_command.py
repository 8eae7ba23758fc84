"""Exit codes and one-line errors that all commands share."""

import argparse
import errno
import os
import signal
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from m2fp_kd import __version__
from m2fp_kd.command import RenamedOption, number, run_command, teaching, whole_number
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.signals import Terminated, terminable


def command(action: Any) -> list[ModuleType]:
    """The command `do`, which calls `action` without arguments."""

    def add(commands: Any) -> None:
        commands.add_parser("do").set_defaults(run=lambda options: action(), extras="serve,train")

    module = ModuleType("do")
    module.__dict__["add"] = add
    return [module]


def failing(error: BaseException) -> list[ModuleType]:
    def fail() -> int:
        raise error

    return command(fail)


@pytest.mark.parametrize("code", [0, 1])
def test_the_exit_code_is_the_commands_own(code: int) -> None:
    assert run_command(command(lambda: code), ["do"]) == code


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\nlong   text"), "m2fp-kd: a long text"),
        (FileNotFoundError(2, "No such file", "gone.jpg"), "m2fp-kd: gone.jpg: No such file"),
        (OSError("disk"), "m2fp-kd: disk"),
    ],
)
def test_an_error_is_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(failing(error), ["do"]) == 2
    assert capsys.readouterr().err == f"{line}\n"


def test_a_missing_library_names_the_extras(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("m2fp_kd.command.install_hint", lambda extras: f"pip install x[{extras}]")
    assert run_command(failing(ModuleNotFoundError("no", name="flask")), ["do"]) == 2
    assert capsys.readouterr().err == f"m2fp-kd: flask is not installed in {sys.prefix}: pip install x[serve,train]\n"


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("no", name="m2fp_kd.nowhere"), KeyError("x"), RuntimeError("odd")]
)
def test_a_defect_shows_its_traceback_before_the_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(failing(error), ["do"]) == 2
    text = capsys.readouterr().err
    assert text.startswith("Traceback") and text.splitlines()[-1].startswith(f"m2fp-kd: {type(error).__name__}: ")


@pytest.mark.parametrize("words", [["do", "--debug"], ["--debug", "do"]])
def test_debug_raises_the_error(words: list[str]) -> None:
    with pytest.raises(ValueError, match="wrong"):
        run_command(failing(ValueError("wrong")), words)


def test_a_full_disk_has_a_hint_and_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(failing(OSError(errno.ENOSPC, "No space left on device", "a\x1b[31m.png")), ["do"]) == 2
    line = "m2fp-kd: a\\x1b[31m.png: No space left on device; free some space and repeat the command\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("kind", "right", "wrong", "allowed"),
    [
        (whole_number(1, 8), ["1", "8"], ["0", "9", "1.5", "nan", "x", "1e3"], "a whole number from 1 to 8"),
        (whole_number(0), ["0", "10"], ["-1", "inf"], "a whole number of at least 0"),
        (number(0, 100), ["0.1", "1e2"], ["0", "-1", "nan", "inf", "101", "x"], "a number above 0, to 100"),
        (number(least=0, most=1), ["0", "1"], ["-0.1", "1.1", "nan"], "a number from 0 to 1"),
    ],
)
def test_an_option_outside_its_range_is_one_line(
    kind: Any, right: list[str], wrong: list[str], allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def add(commands: Any) -> None:
        parser = commands.add_parser("do")
        parser.add_argument("--size", type=kind)
        parser.set_defaults(run=lambda options: 0)

    module = ModuleType("do")
    module.__dict__["add"] = add
    for text in right:
        assert run_command([module], ["do", f"--size={text}"]) == 0
    for text in wrong:
        with pytest.raises(SystemExit) as end:
            run_command([module], ["do", f"--size={text}"])
        line = f"m2fp-kd: --size: must be {allowed}, not {text!r} (`m2fp-kd do -h` explains the options)\n"
        assert end.value.code == 2 and capsys.readouterr().err == line


def test_sigterm_removes_what_is_half_written(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as end, terminable(), atomic_path(tmp_path / "file"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert end.value.code == 143 and not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupted_command_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(failing(KeyboardInterrupt()), ["do"]) == 130
    assert capsys.readouterr().err == "\nstopped\n"


def test_warnings_are_one_line_and_only_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    before = warnings.showwarning
    assert run_command(command(lambda: warnings.warn("slow", stacklevel=1) or 0), ["do"]) == 0
    assert capsys.readouterr().err == "m2fp-kd: slow\n"
    assert warnings.showwarning is before


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run_command([], ["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"m2fp-kd {__version__}\n"


def test_help_keeps_the_line_breaks_of_its_examples() -> None:
    assert argparse.ArgumentParser(**teaching("a\n  b")).format_help().endswith("a\n  b\n")


@pytest.mark.parametrize(("words", "precision"), [(["--precision", "auto"], "auto"), ([], "f32")])
def test_a_present_option_does_not_warn(words: list[str], precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(with_precision(), ["do", *words]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{precision}\n" and captured.err == ""


@pytest.mark.filterwarnings("default::FutureWarning")
def test_an_option_under_its_old_name_sets_the_present_one_and_warns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(with_precision(), ["do", "--arithmetic", "auto"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "auto\n"
    assert captured.err == "m2fp-kd: --arithmetic is an old name; use --precision\n"


def with_precision() -> list[ModuleType]:
    """Make the command `do`, which prints its option `--precision`."""

    def add(commands: Any) -> None:
        parser = commands.add_parser("do")
        parser.add_argument("--precision", default="f32")
        parser.add_argument("--arithmetic", dest="precision", action=RenamedOption)
        parser.set_defaults(run=lambda options: print(options.precision) or 0, extras="serve")

    module = ModuleType("do")
    module.__dict__["add"] = add
    return [module]
