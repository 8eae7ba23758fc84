"""The own teachers of a mix's sources: how they are named, refused, and learnt from."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from m2fp_kd.checkpoints.network import CheckpointError, load_network
from m2fp_kd.distill.teachers.source_teachers import SourceTeachers
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.pipeline import run
from m2fp_kd.pipeline.assemble.module import build_module
from m2fp_kd.pipeline.assemble.teacher import Teacher, load_teacher
from m2fp_kd.runtime.provenance import Lineage
from tests.pipeline.assemble.teachers import save_fpn
from tests.pipeline.conftest import Composer

TERMS = "distill/term@distill.terms=[ce,source_kl]"


@pytest.fixture(scope="module")
def pascal_fpn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lineage = Lineage(name="limbs", licence="CC BY-NC 4.0")
    return save_fpn(tmp_path_factory.mktemp("limbs") / "limbs", "pascal_person_part", 1, lineage)


@pytest.fixture(scope="module")
def cihp_fpn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_fpn(tmp_path_factory.mktemp("cihp") / "student")


def mix(scenes: Path, teacher: object, *overrides: str) -> list[str]:
    """Return the settings of a mix of photos with a teacher of their own and drawn scenes without one."""
    return [
        "data=mix", "data/source@data.sources=[cihp,synthetic]", f"data.sources.cihp.root={scenes}",
        "data.sources.synthetic.splits.length=4", "data.sources.synthetic.splits.val_length=2",
        f"data.sources.cihp.teacher={teacher}", "distill.alpha=0.5", "trainer.max_epochs=1",
        *overrides,
    ]  # fmt: skip


def loaded(cfg: DictConfig) -> Teacher:
    return load_teacher(cfg, instantiate(cfg.data.module))


def test_a_sources_teacher_answers_for_its_photos_alone(composed: Composer, scenes: Path, cihp_fpn: Path) -> None:
    teacher = loaded(composed(*mix(scenes, cihp_fpn)))
    assert isinstance(teacher.own, SourceTeachers) and teacher.source is None
    batch = {
        "images": torch.randint(0, 256, (3, 3, 64, 64)), "valid": torch.ones(3, 16, 16, dtype=torch.bool),
        "sources": ["cihp", "synthetic", "cihp"],
    }  # fmt: skip
    (target,) = teacher.own(batch)
    assert target.photos == [0, 2] and target.log_parts.shape == (2, 20, 16, 16)
    torch.testing.assert_close(target.log_parts.exp().sum(dim=1), torch.ones(2, 16, 16))
    assert teacher.own({**batch, "sources": ["synthetic"] * 3}) == []


def test_a_student_learns_from_a_sources_teacher_and_its_card_names_it(
    composed: Composer, scenes: Path, pascal_fpn: Path
) -> None:
    """The teacher of PASCAL-Person-Part reaches CIHP's labels over a bridge of its own."""
    bridge = scenes.parent / "limbs.yaml"
    bridge.write_text(
        "background: background\nhead: face\ntorso: upper-clothes\nupper-leg: pants\n"
        "lower-leg: {left-leg: 0.5, right-leg: 0.5}\nlower-arm: {left-arm: 0.5, right-arm: 0.5}\n"
        "upper-arm: {left-arm: 0.5, right-arm: 0.5}\n"
    )
    teacher = f"{{checkpoint: {pascal_fpn}, labels: pascal_person_part, bridge: {bridge}}}"
    cfg = composed(*mix(scenes, teacher, TERMS))
    run(cfg)
    report = read_report(Path(cfg.run_dir) / "report.json")
    assert "train/source_kl" in report.curves and list(report.models) == ["student_fp32"]
    (member,) = report.lineage.teacher.members
    assert member.name == "limbs (cihp)" and member.bridge == "pascal_person_part -> cihp"
    assert report.lineage.licences[0] == "CC BY-NC 4.0"
    assert report.lineage.objective is not None and report.lineage.objective.teacher_terms == ("source_kl",)
    assert load_network(Path(cfg.run_dir) / "student.json").lineage.teacher.members


def test_a_common_teacher_and_a_sources_own_teach_together(
    composed: Composer, scenes: Path, teacher_file: Path, cihp_fpn: Path
) -> None:
    live = ["teacher=live", f"teacher.checkpoint={teacher_file}"]
    cfg = composed(*mix(scenes, cihp_fpn, "distill/term@distill.terms=[ce,kl,source_kl]"), *live)
    run(cfg)
    report = read_report(Path(cfg.run_dir) / "report.json")
    assert {"train/kl", "train/source_kl"} <= set(report.curves)
    assert [member.name for member in report.lineage.teacher.members] == ["tiny", "fpn-mobilenetv3_small (cihp)"]


def test_a_teacher_whose_labels_do_not_lead_to_the_sources_is_refused(
    composed: Composer, scenes: Path, pascal_fpn: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        CheckpointError, match=r"data\.sources\.cihp\.teacher: .*7 parts.*Write data\.sources\.cihp\.tea"
    ):
        loaded(composed(*mix(scenes, pascal_fpn)))
    with pytest.raises(
        ValueError, match=r"data\.sources\.cihp\.teacher: there is no bridge from .*'pascal_person_part'"
    ):
        loaded(composed(*mix(scenes, f"{{checkpoint: {pascal_fpn}, labels: pascal_person_part}}")))
    with pytest.raises(FileNotFoundError, match=r"data\.sources\.cihp\.teacher: .*nowhere\.json"):
        loaded(composed(*mix(scenes, tmp_path / "nowhere.json")))
    with pytest.raises(ValueError, match=r"data\.sources\.cihp\.teacher: .*sets colour, which an entry cannot set"):
        loaded(composed(*mix(scenes, f"{{checkpoint: {pascal_fpn}, colour: red}}")))


def test_teachers_and_the_term_that_reads_them_need_each_other(
    composed: Composer, scenes: Path, cihp_fpn: Path
) -> None:
    def build(*overrides: str) -> None:
        cfg = composed(*overrides)
        datamodule = instantiate(cfg.data.module)
        teacher, network = load_teacher(cfg, datamodule), instantiate(cfg.student.network)
        build_module(cfg, network, instantiate(cfg.distill.terms), datamodule, teacher.source, teacher.own)

    with pytest.raises(ValueError, match=r"no term reads the own teachers of cihp: add source_kl.*distill\.alpha=0\.5"):
        build(*mix(scenes, cihp_fpn))
    with pytest.raises(ValueError, match=r"no source has one: add data=mix data\.sources\.NAME\.teacher=FILE"):
        build(*mix(scenes, "null"), TERMS)
    build(*mix(scenes, cihp_fpn), TERMS)
