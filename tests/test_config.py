"""Every choice of every group composes, and overrides reach their targets."""

import os
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from m2fp_kd.config import differences, groups, quoted, register_resolvers
from m2fp_kd.distill.objective import build_objective
from m2fp_kd.labels import load_label_set

CONF = Path(__file__).parents[1] / "conf"


def composed(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=[*overrides, "run_dir=somewhere"])


GROUPS = ("backbone", "student", "teacher", "data", "distill", "trainer", "logger", "compress")
CHOICES = [
    f"{group}={path.stem}" for group in GROUPS for path in sorted((CONF / group).glob("*.yaml")) if path.stem != "base"
]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_and_resolves(choice: str) -> None:
    mandatory = {"teacher": ["teacher.checkpoint=x.json"], "data": ["data.root=somewhere"]}
    mandatory |= {"data=synthetic": [], "data=shards": ["data.urls=a.tar", "data.val_urls=b.tar"]}
    cfg = composed(choice, *mandatory.get(choice, mandatory.get(choice.split("=")[0], [])))
    OmegaConf.resolve(cfg)
    group, name = choice.split("=")
    assert {"student": cfg.student.name, "data": cfg.data.name}.get(group, name) == name
    assert build_objective(instantiate(cfg.distill.terms), load_label_set(cfg.data.labels)).weights


@pytest.mark.parametrize("experiment", sorted(path.stem for path in (CONF / "experiment").glob("*.yaml")))
def test_every_experiment_composes(experiment: str) -> None:
    assert composed(f"experiment={experiment}").stage in ("train", "teacher", "compress")


@pytest.mark.parametrize("backbone", ["mobilenetv3", "resnet18"])
def test_backbone_is_the_students_backbone(backbone: str) -> None:
    cfg = composed(f"backbone={backbone}", "teacher=none")
    assert cfg.student.network.backbone.name == backbone
    assert cfg.teacher.network.backbone.name == "resnet101"


def test_the_teachers_backbone_has_its_own_override() -> None:
    cfg = composed("backbone@teacher.backbone=resnet50")
    assert (cfg.backbone.name, cfg.teacher.network.backbone.name) == ("mobilenetv3", "resnet50")


def test_every_backbone_and_data_set_extends_its_base() -> None:
    assert composed("backbone=resnet18", "backbone.pretrained=true").student.network.backbone.pretrained
    for path in [*(CONF / "backbone").glob("*.yaml"), *(CONF / "data").glob("*.yaml")]:
        written = yaml.safe_load(path.read_text())
        if path.stem != "base":
            assert written["defaults"][0] == "base" and written["name"] == path.stem


def test_help_lists_every_choice_except_base() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        lines = dict(line.split(": ") for line in groups().splitlines())
    assert "wandb_sweep" not in lines and lines["teacher"] == "cached, live, none, sample"
    assert {f"{group}={name}" for group in GROUPS for name in lines[group].split(", ")} == set(CHOICES)
    assert {"compress/step", "distill/term", "teacher/network", "experiment", "sweep"} < set(lines)


def test_settings_of_the_data_reach_its_module() -> None:
    overrides = [
        "data.root=R", "data.size=64", "data.batch_size=3", "data.labels=lip", "data.unlabelled=U", "seed=7",
        "data.unlabelled_ratio=0.1", "data.label_fraction=0.2", "data.module.limit=5", "data.module.workers=1",
        "data.splits.test=Testing",
    ]  # fmt: skip
    module = composed(*overrides).data.module
    expected = {
        "size": 64, "batch_size": 3, "labels": "lip", "unlabelled": "U", "unlabelled_ratio": 0.1, "label_fraction": 0.2,
        "limit": 5, "workers": 1, "seed": 7,
    }  # fmt: skip
    assert {name: module[name] for name in expected} == expected
    assert (module.splits.root, module.splits.test) == ("R", "Testing")


OLD_OPTIONS = {
    "teacher.tta": "teacher.ensemble",
    "distill.anneal": "distill.fade",
    "distill.terms.kl.anneal": "distill.terms.kl.fade",
    "median_stopping": "stop_hopeless",
    "compress.precision": "compress.arithmetic",
    "compress.gates.precision": "compress.gates.arithmetic",
    "compress.steps.torch_export": "compress.steps.program",
}


@pytest.mark.parametrize("data", ["sample", "ccp", "synthetic"])
def test_settings_of_an_earlier_run_are_the_same_under_their_old_names(data: str) -> None:
    after = composed(f"data={data}", "distill=classic", "compress=all", "teacher.tta.flip=true")
    before = OmegaConf.create(yaml.safe_load(OmegaConf.to_yaml(after, resolve=True)))
    for new, old in OLD_OPTIONS.items():
        OmegaConf.update(before, old, OmegaConf.select(before, new), force_add=True)
        parent, _, name = new.rpartition(".")
        del (OmegaConf.select(before, parent) if parent else before)[name]
    splits = {"people" if name == "persons" else name: value for name, value in before.data.pop("splits").items()}
    del before.data.module["splits"], before.data.module["pseudo_labels"]
    before.data.module = {**before.data.module, **splits, "_target_": "m2fp_kd.data.factories.m2fp_data"}
    assert differences(before, after) == [] == differences(after, after)
    before.teacher.ensemble.flip = False
    assert differences(before, after) == ["teacher.tta.flip: False -> True"]


def test_new_limits_of_gates_continue_the_same_run() -> None:
    before, after = composed(), composed("compress.gates.qat.min_pixel_agreement=0.5", "compress.gates.prune=null")
    assert differences(before, after) == []
    assert before.name == after.name
    assert differences(before, composed("compress.threads=1")) == ["compress.threads: 2 -> 1"]


def test_a_class_from_outside_the_package_is_a_setting() -> None:
    after = composed("optimizer._target_=mine.Sgd")
    assert differences(composed(), after) == ["optimizer._target_: torch.optim.AdamW -> mine.Sgd"]


def test_the_sources_of_a_mix_are_chosen_by_name_and_keep_their_settings() -> None:
    choices = sorted(path.stem for path in (CONF / "data" / "source").glob("*.yaml"))
    roots = [f"data.sources.{name}.root=R/{name}" for name in choices if name != "synthetic"]
    chosen = [f"data/source@data.sources=[{','.join(choices)}]", *roots, "data.sources.folder.labels=atr"]
    cfg = composed("data=mix", *chosen, "data.sources.ccp.ratio=0.5")
    OmegaConf.resolve(cfg)
    assert sorted(cfg.data.sources) == sorted(cfg.data.module.splits.sources) == choices
    assert cfg.data.sources.ccp.ratio == 0.5 and cfg.data.module.splits.sources.lip.splits.root == "R/lip"
    assert cfg.student.network.num_parts == 20
    assert "Clothing Co-Parsing: Apache-2.0; " in cfg.data.licence and "LIP's photos" in cfg.data.licence


def test_the_data_owns_the_number_of_parts() -> None:
    cfg = composed("data=pascal_person_part")
    assert (cfg.student.network.num_parts, cfg.teacher.network.num_classes) == (7, 8)


def test_alpha_and_temperature_reach_the_terms() -> None:
    cfg = composed("distill=classic", "distill.alpha=0.25", "distill.temperature=2")
    objective = build_objective(instantiate(cfg.distill.terms), load_label_set("cihp"))
    assert objective.weights == {"kl": 0.25, "ce": 0.75}
    assert objective.terms["kl"].temperature == 2


def test_terms_add_up_by_list() -> None:
    assert set(composed("distill/term@distill.terms=[kl,ce,jaccard]").distill.terms) == {"kl", "ce", "jaccard"}


def test_an_m2fp_student_always_matches_its_masks() -> None:
    assert set(composed("student=m2fp").student.terms) == {"mask"}


def test_the_run_is_named_by_its_settings() -> None:
    first, again, other = composed("seed=1"), composed("seed=1", "ckpt_path=null"), composed("seed=2")
    assert first.name == again.name != other.name


def test_ddp_takes_the_processes_that_torchrun_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    trainer = composed("trainer=ddp").trainer
    assert (trainer.devices, trainer.accelerator, trainer.precision) == ("auto", "auto", "auto")
    assert trainer.num_nodes == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("WORLD_SIZE", "12")
    trainer = composed("trainer=ddp").trainer
    assert (trainer.devices, trainer.num_nodes) == (4, 3)


@pytest.mark.parametrize("sweep", sorted(path.stem for path in (CONF / "sweep").glob("*.yaml")))
def test_every_sweep_composes_with_its_plugin(sweep: str) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="needs the sweep extra")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"sweep={sweep}"], return_hydra_config=True)
    plugin = {"optuna": cfg.hydra.sweeper, "parallel": cfg.hydra.launcher, "slurm": cfg.hydra.launcher}[sweep]
    assert {"optuna": "Optuna", "parallel": "Joblib", "slurm": "Slurm"}[sweep] in plugin._target_


@pytest.mark.parametrize("path", sorted((CONF / "wandb_sweep").glob("*.yaml")), ids=lambda path: path.stem)
def test_wandb_sweeps_set_existing_options(path: Path) -> None:
    sweep = yaml.safe_load(path.read_text())
    for name, choices in sweep["parameters"].items():
        for value in choices.get("values", [choices.get("min")]):
            OmegaConf.resolve(composed(f"{name}={value}"))
    assert (CONF.parent / sweep["program"]).is_file() and sweep["metric"]["name"] == "val/mIoU"


@pytest.mark.parametrize(
    "value",
    ["/a/b(1)", "/a=b", "/照片", "/a[1]", "/it's", "/a#1", '/a"b', "/a\\'b", "/a&b!(\\", os.fsdecode(b"/a=\xd5")],
)
def test_paths_that_hydra_cannot_read_are_quoted(value: str) -> None:
    (argument,) = quoted([f"data.root={value}"])
    assert OverridesParser.create().parse_override(argument).value() == value


def test_the_home_is_found() -> None:
    assert quoted(["data.root=~/photos (1)"]) == [f"data.root='{Path.home()}/photos (1)'"]


@pytest.mark.parametrize(
    "argument",
    ["-m", "lr=1e-3,2e-3", "data.root=/a b", "data.root='/a(1)'", "~distill.terms.kl", "+a=b", "distill.terms=[ce",
     "distill/term@distill.terms=[ce,kl]", "data.root=~/a,~/b"],
)  # fmt: skip
def test_other_arguments_keep_their_form(argument: str) -> None:
    assert quoted([argument]) == [argument]


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [
        ("runs/first/teacher.json", "first-teacher"),
        ("/data/weights/pytorch_model.pt", "weights-pytorch_model"),
        ("teacher.json", "teacher"),
        ("[runs/a/student.json,{checkpoint:runs/b/teacher.json,size:320}]", "a-student+b-teacher"),
    ],
)
def test_a_cache_is_named_by_its_teacher(checkpoint: str, name: str) -> None:
    assert composed("teacher=cached", f"teacher.checkpoint={checkpoint}").teacher.cache == f"cache/sample-{name}"


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "first" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "first" / "model")
    for checkpoint, name in {".": "first-model", "..": f"{tmp_path.name}-first"}.items():
        cache = composed("teacher=cached", f"teacher.checkpoint={checkpoint}").teacher.cache
        assert cache == f"cache/sample-{name}"


def test_the_default_is_the_best_measured_objective() -> None:
    assert composed().distill == composed("distill=best").distill
    assert "| `best` (default) |" in (CONF.parent / "docs" / "guides" / "distil.md").read_text()
