"""What README and guides tell people to type is there: imports, scripts, modules, configurations, links."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from m2fp_kd.config import register_resolvers

ROOT = Path(__file__).parents[1]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "data" / "README.md"]
TEXT = {path: path.read_text() for path in GUIDES}
guides = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))


def found(pattern: str, guide: Path) -> list[str]:
    return re.findall(pattern, TEXT[guide], re.MULTILINE)


@guides
def test_imports_work(guide: Path) -> None:
    for line in found(r"^ *(from m2fp_kd\S* import \w+(?:, \w+)*)", guide):
        exec(line, {})


@guides
def test_modules_and_scripts_exist(guide: Path) -> None:
    for module in found(r"python -m (m2fp_kd[\w.]*)", guide):
        spec = importlib.util.find_spec(module)
        assert spec, module
        assert spec.submodule_search_locations is None or importlib.util.find_spec(f"{module}.__main__"), module
    for script in found(
        r"\b((?:benchmarks|notebooks|tests|src|conf|docs)/[\w/.-]+\.(?:py|ipynb|yaml|svg|jpg|md))\b", guide
    ):
        assert (ROOT / script).is_file(), script


@guides
def test_choices_exist(guide: Path) -> None:
    """GROUP=CHOICE, for instance `compress=int8_qat,prune40_int8` or `experiment=[ppp,fair_kd]`."""
    groups = sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir())
    for group, choices in found(rf"(?<![\w.-])({'|'.join(groups)})=\[?([a-z][\w,|]*)", guide):
        for choice in filter(None, re.split(r"[,|]", choices)):
            assert (ROOT / "conf" / group / f"{choice}.yaml").is_file(), f"{group}={choice}"


@guides
def test_training_commands_compose(guide: Path) -> None:
    """Every ``python train.py ...``, with the first of the values that it offers."""
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for command in found(r"python train\.py((?:.*\\\n)*.*)", guide):
            words = shlex.split(re.split(r"[`)]", command)[0], comments=True)
            overrides = [re.sub(r"=(\w+)[,|][\w,|]+$", r"=\1", word) for word in words if "=" in word]
            compose("config", overrides=["run_dir=unused", *overrides], return_hydra_config=True)


@guides
def test_links_lead_somewhere(guide: Path) -> None:
    for link in found(r"\]\((?!https?:|#)([^)#]+)", guide):
        assert (guide.parent / link).exists(), link


def test_the_readme_has_something_of_each() -> None:
    """These tests would pass on an empty guide."""
    readme = ROOT / "README.md"
    assert found(r"^ *from m2fp_kd\S* import", readme)
    assert found(r"python -m m2fp_kd", readme) and found(r"benchmarks/\w+\.py", readme)
    assert found(r"compress=\w+", readme) and found(r"\]\(docs/", readme)
