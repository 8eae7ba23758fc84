import sys

import pytest

from m2fp_kd.evaluation.speed.process import ChildError, last_error, run_child


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_reads_the_last_line_and_finds_this_package() -> None:
    assert run_child(python("import m2fp_kd, json; print('noise'); print(json.dumps({'a': 1}))"), "a") == {"a": 1}


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("raise ValueError('no\\nway')", r"counting failed \(exit code 1\)", "no way"),
        ("import sys; sys.exit('so be it')", "exit code 1", "so be it"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL", "killed by SIGKILL"),
        ("print('done')", "no JSON object", "done"),
        ("print([1])", "no JSON object", "[1]"),
        ("pass", "no JSON object", "its last line is no JSON object"),
    ],
)
def test_a_failure_says_why_in_one_line(code: str, message: str, reason: str) -> None:
    with pytest.raises(ChildError, match=message) as caught:
        run_child(python(code), "counting")
    assert caught.value.reason == reason


def test_a_program_that_does_not_exist() -> None:
    with pytest.raises(ChildError, match=r"counting failed.*cannot be started"):
        run_child(["/nowhere/python"], "counting")


def test_the_last_error_is_found_behind_a_traceback() -> None:
    said = "Warning: old\nTraceback (most recent call last):\n  File x\n"
    assert last_error(f"{said}m2fp_kd.runtime.engines.EngineError: cannot\n  load it\n") == "cannot load it"
    assert last_error(f"{said}onnxruntime.state.InvalidArgument: bad shape") == "bad shape"
    assert last_error("one\n\ntwo\n") == "two"
    assert last_error("KeyboardInterrupt\n") == "KeyboardInterrupt"
    assert last_error("") == ""
