"""Shipped recipes pass their gates on the student that `make train` leaves, with shipped settings."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from benchmarks.other_cpus import LIMITS, part_maps
from m2fp_kd.config import register_resolvers
from m2fp_kd.pipeline import run
from tests.pipeline.conftest import CONF

RECIPES = ("all", "int8_accurate", "int8_qat", "prune40_int8")
"""The recipes that run. They contain the steps of the others."""

CONTAINED = {
    "compress=none": "all",
    "compress=int8_static": "all",
    "experiment=edge": "all",
    "experiment=accurate": "int8_accurate",
    "compress=prune": "prune40_int8",
}
"""The others -> the recipe with their steps."""

OTHER_KERNELS = {"int8_pt2e": 0.995}
"""Artefact -> least share of pixels with the same part where the engine's kernels round differently; 0.2 % differed."""

OF_QUERIES = ("compress=int8_dynamic", "experiment=cloud")
"""Recipes for networks with queries. They run on a student with queries."""

ELSEWHERE = {"experiment=prototype"}
"""A recipe for an untrained M2FP, which has no score."""


def _composed(folder: Path, *overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["logger=csv", f"run_dir={folder}", *overrides])


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the student of `make train`; its own recipe passes, or this raises."""
    folder = tmp_path_factory.mktemp("train")
    run(_composed(folder))
    return folder / "student.json"


@pytest.mark.long
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_passes_its_gates_on_cpus_with_and_without_vnni(recipe: str, student: Path, tmp_path: Path) -> None:
    """The part maps with the kernels of a CPU that has AVX2 only are those that passed the gates here.

    PyTorch's INT8 kernels (int8_pt2e) round differently there, by 0.14 % of the pixels; the others are equal.
    """
    run(_composed(tmp_path, "stage=compress", f"student.checkpoint={student}", f"compress={recipe}"))
    artefacts = sorted(path for path in (tmp_path / "artefacts").iterdir() if path.is_dir())
    here, there = (part_maps(artefacts, Path("data/sample"), before=before) for before in ([], LIMITS["AVX2"]))
    agreement = {name: (here[name] == there[name]).mean() for name in here}
    assert all(share > OTHER_KERNELS.get(Path(name).name, 0.999) for name, share in agreement.items()), agreement


@pytest.mark.long
def test_the_recipes_of_networks_with_queries_pass_their_gates(tmp_path: Path) -> None:
    """Training, forty minutes of it, is most of the work."""
    dynamic, cloud = OF_QUERIES
    run(_composed(tmp_path / "student", "student=m2fp", dynamic))
    run(_composed(tmp_path / "cloud", cloud, "student=m2fp", f"student.checkpoint={tmp_path}/student/student.json"))


@pytest.mark.parametrize("choice", CONTAINED)
def test_the_other_recipes_have_steps_of_those_that_run(choice: str, tmp_path: Path) -> None:
    steps, tested = (
        OmegaConf.to_container(_composed(tmp_path, words).compress, resolve=True)
        for words in (choice, f"compress={CONTAINED[choice]}")
    )
    assert steps["gates"] == tested["gates"]
    assert steps["steps"].items() <= tested["steps"].items()


def test_every_recipe_is_one_of_these() -> None:
    recipes = {f"compress={path.stem}" for path in (CONF / "compress").glob("*.yaml") if path.stem != "base"}
    text = {path.stem: path.read_text() for path in (CONF / "experiment").glob("*.yaml")}
    recipes |= {f"experiment={name}" for name, words in text.items() if "override /compress" in words}
    assert recipes == {*(f"compress={name}" for name in RECIPES), *CONTAINED, *OF_QUERIES, *ELSEWHERE}
