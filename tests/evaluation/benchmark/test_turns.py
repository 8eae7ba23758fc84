from m2fp_kd.evaluation.benchmark.turns import take_turns
from m2fp_kd.evaluation.speed.process import ProcessError


def test_a_failed_task_is_not_repeated_and_the_others_continue() -> None:
    calls = []

    def task(name: str):
        def call() -> str:
            calls.append(name)
            if name == "b" and calls.count("b") == 2:
                raise ProcessError("b", "exit code 1", "tired")
            return f"{name}{calls.count(name)}"

        return call

    results = take_turns({name: task(name) for name in "abc"}, rounds=3)
    assert results["a"] == ["a1", "a2", "a3"] and results["c"] == ["c1", "c2", "c3"]
    assert isinstance(results["b"], ProcessError) and results["b"].reason == "tired"
    assert calls == ["a", "b", "c", "b", "c", "a", "c", "a"]
