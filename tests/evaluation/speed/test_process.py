import sys

import pytest

from m2fp_kd.evaluation.speed.process import ProcessError, last_error, run_process


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_last_line_is_read_and_this_package_is_importable() -> None:
    assert run_process(python("import m2fp_kd, json; print('noise'); print(json.dumps({'a': 1}))"), "a") == {"a": 1}


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("raise ValueError('no\\nway')", r"counting failed \(exit code 1\)", "no way"),
        ("import sys; sys.exit('so be it')", "exit code 1", "so be it"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL", "killed by SIGKILL"),
        ("print('done')", "not a JSON object", "done"),
        ("print([1])", "not a JSON object", "[1]"),
        ("pass", "not a JSON object", "its last line is not a JSON object"),
    ],
)
def test_a_failure_gives_its_cause_in_one_line(code: str, message: str, reason: str) -> None:
    with pytest.raises(ProcessError, match=message) as caught:
        run_process(python(code), "counting")
    assert caught.value.reason == reason


def test_a_missing_program_is_an_error() -> None:
    with pytest.raises(ProcessError, match=r"counting failed.*cannot be started"):
        run_process(["/nowhere/python"], "counting")


def test_the_last_error_is_found_after_a_traceback() -> None:
    traceback = "Warning: old\nTraceback (most recent call last):\n  File x\n"
    assert last_error(f"{traceback}m2fp_kd.runtime.engines.EngineError: cannot\n  load it\n") == "cannot load it"
    assert last_error(f"{traceback}onnxruntime.state.InvalidArgument: bad shape") == "bad shape"
    assert last_error("one\n\ntwo\n") == "two"
    assert last_error("KeyboardInterrupt\n") == "KeyboardInterrupt"
    assert last_error("") == ""
