"""Run tasks in turns over several rounds, so that a machine whose speed drifts is fair to all."""

from collections.abc import Callable, Mapping
from typing import Any

from tqdm import tqdm

from m2fp_kd.evaluation.speed.process import ProcessError
from m2fp_kd.evaluation.speed.rounds import turns


def take_turns(
    tasks: Mapping[str, Callable[[], Any]], rounds: int = 1, verb: str = "measuring"
) -> dict[str, list[Any] | ProcessError]:
    """Run every task once a round, with a progress bar; a task that failed is not repeated.

    Returns:
        Name of a task -> its results, one per round, or its error.
    """
    names = list(tasks)
    results: dict[str, list[Any]] = {name: [] for name in names}
    failed: dict[str, ProcessError] = {}
    with tqdm(total=rounds * len(names), desc=verb, unit="turn", disable=None) as bar:
        for name in turns(names, rounds):
            bar.set_postfix_str(name)
            if name not in failed:
                try:
                    results[name].append(tasks[name]())
                except ProcessError as error:
                    failed[name] = error
            bar.update()
    return results | failed
