"""The plan of the rooms: who may import whom, no circles, small files, small functions."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "m2fp_kd"
MODULES = {path: path.relative_to(SOURCE).with_suffix("").as_posix() for path in sorted(SOURCE.rglob("*.py"))}

ROOMS = {
    "labels": {"versions"},
    "versions": set(),
    "renamed": set(),
    "shipped": set(),
    "command": {"versions"},
    "rules": set(),
    "shards": set(),
    "signals": set(),
    "models": {"versions"},
    "runtime": {"labels", "versions"},
    "serve": {"runtime", "labels"},
    "checkpoints": {"models", "runtime", "labels", "versions"},
    "data": {"runtime", "labels", "rules", "shards"},
    "evaluation": {"data", "runtime", "labels", "command"},
    "distill": {"evaluation", "data", "models", "runtime", "labels", "versions", "shards", "signals"},
    "compress": {"evaluation", "checkpoints", "data", "models", "runtime", "labels", "versions", "shipped"},
    "pipeline": {
        "distill", "compress", "evaluation", "checkpoints", "data", "models", "runtime", "labels", "versions", "config",
        "shipped", "preflight", "shards", "signals",
    },
    "config": {"evaluation", "labels", "renamed", "shipped"},
    "preflight": {"compress", "data", "labels", "rules", "shards"},
    "train": {"pipeline", "config", "command", "preflight", "renamed", "shipped", "signals"},
    "autolabel": {"pipeline", "config", "distill", "checkpoints", "models", "runtime", "labels", "shipped"},
    "cli": {
        "autolabel", "serve", "evaluation", "data", "runtime", "labels", "versions", "command", "rules", "shards",
        "signals",
    },
}  # fmt: skip
"""Room -> the rooms that it may import."""

INSIDE = {
    "evaluation": {
        "metrics": set(),
        "speed": set(),
        "report": {"metrics"},
        "benchmark": {"metrics", "speed", "report"},
        "runs": {"report"},
        "differences": {"metrics", "report"},
    },
    "distill": {
        "teachers": set(),
        "losses": {"teachers"},
        "objective": {"losses", "teachers"},
        "training": {"objective", "losses", "teachers"},
    },
    "pipeline": {
        "tracking": set(),
        "assemble": set(),
        "record": {"tracking", "assemble"},
        "stages": {"assemble", "record", "tracking"},
    },
}
"""The same inside the three rooms that have rooms of their own."""


def imports(path: Path) -> Iterator[str]:
    """Every module of this package that a file imports, as ``room/file``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("m2fp_kd"):
            for alias in node.names:
                name = f"{node.module}.{alias.name}".removeprefix("m2fp_kd").lstrip(".").replace(".", "/")
                found = next((name[:end] for end in _ends(name) if name[:end] in MODULES.values()), None)
                if found or name.rpartition("/")[0]:
                    yield found or f"{name.rpartition('/')[0]}/__init__"


def _ends(name: str) -> list[int]:
    slashes = [index for index, letter in enumerate(name) if letter == "/"]
    return [len(name), *reversed(slashes)]


def arrows(depth: int, inside: str = "") -> dict[str, set[str]]:
    """Room -> rooms that it imports; rooms are the names at ``depth``, below the folder ``inside``."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, name in MODULES.items():
        for other in imports(path):
            if name.startswith(inside) and other.startswith(inside):
                ours, theirs = name.split("/")[depth], other.split("/")[depth]
                if ours != theirs and "__" not in ours + theirs:
                    found[ours].add(theirs)
    return found


def test_rooms_import_only_rooms_below_them() -> None:
    wrong = {room: sorted(others - ROOMS[room]) for room, others in arrows(0).items() if others - ROOMS[room]}
    assert not wrong, f"room -> rooms that it must not import: {wrong}"


@pytest.mark.parametrize("room", INSIDE)
def test_a_rooms_own_rooms_import_only_what_the_plan_allows(room: str) -> None:
    plan = INSIDE[room]
    found = arrows(1, f"{room}/")
    assert not {name: sorted(others - plan[name]) for name, others in found.items() if others - plan[name]}
    files = {path.name.removesuffix(".py") for path in (SOURCE / room).iterdir() if "__" not in path.name}
    assert files == set(plan), "a new room needs its place in the plan"


def test_no_file_imports_itself_through_others() -> None:
    graph = {name: set(imports(path)) for path, name in MODULES.items()}

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*way, name))
            done.add(name)

    done: set[str] = set()
    for name in graph:
        visit(name, ())


def test_files_and_functions_are_small() -> None:
    long = {name: lines for path, name in MODULES.items() if (lines := len(path.read_text().splitlines())) >= 300}
    assert not long
    trees = [ast.parse(path.read_text()) for path in MODULES]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert median(node.end_lineno - node.lineno + 1 for node in functions if node.end_lineno) < 10


def test_measuring_speed_imports_neither_torch_nor_a_plotting_library() -> None:
    modules = [name.replace("/", ".") for name in MODULES.values() if name.startswith("evaluation/speed/")]
    program = f"import importlib, sys\nfor name in {modules}: importlib.import_module('m2fp_kd.' + name)\n"
    program += "print({'torch', 'matplotlib', 'pytorch_lightning'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
