"""The worked examples of CONTRIBUTING: its files are written to a folder, joined to the package and conf/, and run."""

import csv
import importlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from m2fp_kd.compress.chain import make_artefacts
from m2fp_kd.compress.export.capabilities import ARTEFACT_FORMATS
from m2fp_kd.compress.options import CheckSettings, Gate
from m2fp_kd.compress.source import Source
from m2fp_kd.compress.steps import check_order
from m2fp_kd.config import register_resolvers
from m2fp_kd.distill.objective import build_objective
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models import backbones
from m2fp_kd.models.outputs import StudentOutput
from m2fp_kd.pipeline import run
from tests.compress.colour_student import canvases
from tests.compress.conftest import card, photos, student  # noqa: F401
from tests.models.backbone_contract import BackboneContract

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
FILES = dict(re.findall(r"```(?:python|yaml)\n# ([\w./]+)(?:: \w+)?\n(.*?)```", PAGE, re.DOTALL))
"""Path in the repository -> text."""

Composed = Callable[..., DictConfig]


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Composed:
    """Compose the configuration with the page's YAML files; its modules can be imported."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in FILES:
        if name.startswith("src/") and "models" not in name:
            package = importlib.import_module(str(Path(name).parent.relative_to("src")).replace("/", "."))
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / Path(name).parent)])
    register_resolvers()

    def configuration(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            search = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
            return compose("config", overrides=[f"run_dir={tmp_path / 'run'}", search, *overrides])

    return configuration


def test_the_page_has_a_file_or_two_for_each_row() -> None:
    rows = re.findall(r"^\| \[a (.+?)\]\(#(.+?)\)", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == ["loss", "backbone", "compression step", "data set", "teacher"]
    sections = re.findall(r"^### A ([^\n]+)\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in sections] == [name for name, _ in rows]
    assert all(text.count("```yaml\n# conf/") == 1 and text.count("```python\n# ") >= 1 for _, text in sections)
    assert len(FILES) == 11


def test_the_loss_trains(composed: Composed) -> None:
    cfg = composed("distill/term@distill.terms=[ce,brier]", "distill.alpha=0.5")
    labels = LABEL_SETS["cihp"]
    objective = build_objective(instantiate(cfg.distill.terms), labels)
    objective.check(teacher_gives=frozenset({"log_parts"}), student_gives=frozenset())
    with pytest.raises(ValueError, match="the term 'brier' needs"):
        objective.check(teacher_gives=frozenset(), student_gives=frozenset())
    torch.manual_seed(0)
    logits = torch.zeros(1, labels.num_parts, 4, 4, requires_grad=True)
    log_parts = (5 * torch.randn(1, labels.num_parts, 4, 4)).log_softmax(dim=1)
    target = TeacherTarget(log_parts, torch.ones(1, 4, 4, dtype=torch.bool))
    batch = {"parts": log_parts.argmax(dim=1).repeat_interleave(4, 1).repeat_interleave(4, 2)}
    optimizer = torch.optim.Adam([logits], lr=0.1)
    values = []
    for _ in range(20):
        loss, terms = objective(StudentOutput(logits), batch, target)
        values.append(terms["brier"].item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert values[-1] < 0.9 * values[0]
    ideal = objective.terms["brier"](StudentOutput(log_parts), batch, target)
    assert float(ideal) == pytest.approx(0, abs=1e-6)


def test_the_backbone_keeps_the_contract(composed: Composed, monkeypatch: pytest.MonkeyPatch) -> None:
    line = FILES["src/m2fp_kd/models/backbones.py"]
    monkeypatch.setattr(backbones, "TIMM_NAMES", backbones.TIMM_NAMES | eval(f"{{{line}}}"))
    monkeypatch.setattr(backbones, "BACKBONES", (*backbones.TIMM_NAMES, "shufflenetv2"))
    assert isinstance(instantiate(composed("backbone=mobilenetv4").backbone), backbones.Backbone)
    scope: dict[str, Any] = {"BackboneContract": BackboneContract}
    exec(FILES["tests/models/test_backbones.py"], scope)
    contract = scope["TestMobileNetV4"]()
    tests = [name for name in dir(contract) if name.startswith("test_")]
    assert tests
    for name in tests:
        getattr(contract, name)()


def test_the_step_passes_its_gate(
    composed: Composed,
    student: torch.nn.Module,  # noqa: F811
    card: Any,  # noqa: F811
    photos: list[Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    cfg = composed("compress/step@compress.steps=[export,folded]")
    gates = {name: Gate(**limits) for name, limits in cfg.compress.gates.items()}
    steps = {name: instantiate(step) for name, step in cfg.compress.steps.items()}
    check_order(steps, gates)
    assert steps["folded"].format in ARTEFACT_FORMATS
    source = Source(student, card, lambda count: iter(canvases(range(count))), photos)
    result = make_artefacts(source, tmp_path / "artefacts", steps.values(), CheckSettings(gates, 1))
    result.raise_failed()
    assert [parity.hop for parity in result.parities] == ["PyTorch -> fp32", "fp32 -> folded"]
    assert result.parities[-1].pixel_agreement > 0.999


def test_the_data_set_is_read(composed: Composed, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    sample = ROOT / "data" / "sample" / "Training"
    for photo in sorted((sample / "Images").iterdir())[:40]:
        shutil.copy(photo, root / f"{photo.stem}.jpg")
        shutil.copy(sample / "Category_ids" / f"{photo.stem}.png", root)
    cfg = composed("data=beside", f"data.root={root}", "data.size=64", "data.batch_size=4", "teacher=none")
    datamodule = instantiate(cfg.data.module)
    assert len(datamodule.train) + len(datamodule.val) == 40
    datamodule.setup("fit")
    batch = next(iter(datamodule.train_dataloader()))
    assert batch["images"].shape == (4, 3, 64, 64)
    assert batch["parts"].shape == (4, 64, 64)
    assert len(batch["parts"].unique()) > 2


def test_the_teacher_trains_a_student(composed: Composed, tmp_path: Path) -> None:
    cfg = composed(
        "teacher=smoothed", "distill=classic", "backbone=mobilenetv3_small", "compress=none", "logger=csv",
        "data.size=64", "data.module.limit=8", "data.batch_size=4", "trainer.max_epochs=1",
        "trainer.precision=32-true", "trainer.log_every_n_steps=1",
        "+trainer.limit_val_batches=1",
    )  # fmt: skip
    run(cfg)
    (logged,) = (tmp_path / "run" / "metrics").rglob("metrics.csv")
    assert [float(row["train/kl"]) > 0 for row in csv.DictReader(logged.open()) if row["train/kl"]] == [True, True]
    assert (tmp_path / "run" / "artefacts" / "fp32" / "model.onnx").is_file()
