"""Teachers of one network and of several, as `teacher.checkpoint` names them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from m2fp_kd.checkpoints.network import CheckpointError
from m2fp_kd.data.codec import decode, encode
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.labels import load_label_set
from m2fp_kd.pipeline import run
from m2fp_kd.pipeline.assemble.part_models import ensemble_members, load_m2fp
from m2fp_kd.pipeline.assemble.student import new_student
from m2fp_kd.runtime.provenance import Lineage
from tests.pipeline.assemble.teachers import Loader, cached_target, first_photo, live_target, save_fpn
from tests.pipeline.conftest import Composer

CIHP, LIP = load_label_set("cihp"), load_label_set("lip")


@pytest.fixture(scope="module")
def fpn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_fpn(tmp_path_factory.mktemp("fpn") / "student")


@pytest.fixture(scope="module")
def lip_fpn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lineage = Lineage(name="lip", licence="CC BY-NC 4.0")
    return save_fpn(tmp_path_factory.mktemp("lip") / "lip", "lip", 1, lineage)


@pytest.mark.parametrize("size", [64, 128])
def test_a_per_pixel_network_teaches_the_same_live_and_cached(load: Loader, fpn: Path, size: int) -> None:
    live, datamodule = load("live", fpn, f"teacher.size={size}")
    _, cached = load("cached", fpn, f"teacher.size={size}")
    photo = first_photo(datamodule)  # 64 x 64, as large as the student's canvas
    wanted, stored = live_target(live, photo).exp(), torch.from_numpy(cached_target(cached)[:1]).exp()
    assert wanted.shape == stored.shape == (1, 20, 16, 16)
    # The codec, and for a larger teacher Pillow's and PyTorch's resize of the photo, differ a little.
    assert 0.5 * (wanted - stored).abs().sum(dim=1).mean() < 0.05
    assert 0.5 * (wanted - wanted.mean(dim=(2, 3), keepdim=True)).abs().sum(dim=1).mean() > 0.1


def test_a_per_pixel_network_gives_features_but_no_queries(load: Loader, fpn: Path) -> None:
    teacher, _ = load("live", fpn)
    assert teacher.source is not None
    assert teacher.source.gives == {"log_parts", "features"} and teacher.source.channels == 16
    assert teacher.card.name == "fpn-mobilenetv3_small" and teacher.card.licence == "Apache-2.0"
    assert teacher.card.parameters and teacher.card.members == ()


def test_views_of_a_per_pixel_network_are_averaged(load: Loader, fpn: Path) -> None:
    _, single = load("cached", fpn)
    teacher, views = load("cached", fpn, "teacher.tta.flip=true", "teacher.tta.scales=[1,1.5]")
    assert teacher.whole is not None and teacher.whole.views == 4 and teacher.card.tta
    both = cached_target(views)
    swap = list(CIHP.flip_permutation)
    assert np.abs(np.exp(both[1]) - np.exp(both[0][swap][..., ::-1])).mean() < 0.002
    assert np.abs(np.exp(both) - np.exp(cached_target(single))).mean() > 0.005


@pytest.mark.parametrize("tta", [[], ["teacher.tta.flip=true"]])
def test_an_ensemble_is_the_mean_of_its_members(load: Loader, fpn: Path, teacher_file: Path, tta: list[str]) -> None:
    one, datamodule = load("cached", fpn, *tta)
    other, _ = load("cached", teacher_file, *tta)
    both, cached = load("cached", f"[{fpn},{teacher_file}]", *tta)
    assert one.whole and other.whole and both.whole
    photo = first_photo(datamodule)
    mean = (np.exp(one.whole.log_parts(photo)) + np.exp(other.whole.log_parts(photo))) / 2
    np.testing.assert_allclose(np.exp(both.whole.log_parts(photo)), mean, atol=1e-5)
    stored = decode(encode(both.whole.log_parts(photo), CIHP.flip_permutation))
    np.testing.assert_allclose(np.exp(cached_target(cached)), np.exp(stored), atol=1e-3)
    assert both.source is not None and both.source.gives == {"log_parts"}


def test_a_live_ensemble_teaches_what_a_cached_one_teaches(load: Loader, fpn: Path, teacher_file: Path) -> None:
    live, datamodule = load("live", f"[{fpn},{teacher_file}]")
    assert live.source is not None and live.source.gives == {"log_parts"} and live.source.channels is None
    assert live.whole is not None
    photo = first_photo(datamodule)
    np.testing.assert_allclose(live_target(live, photo).exp(), np.exp(live.whole.log_parts(photo))[:1], atol=1e-4)


def test_members_of_other_label_sets_answer_over_their_own_bridges(load: Loader, fpn: Path, lip_fpn: Path) -> None:
    entries = f"[{fpn},{{checkpoint:{lip_fpn},labels:lip,bridge:BRIDGE}}]"
    with pytest.raises(FileNotFoundError, match="BRIDGE"):
        load("cached", entries)
    bridge = fpn.parent / "lip-to-cihp.yaml"
    names = {part: part if part in CIHP.parts else "dress" for part in LIP.parts}
    bridge.write_text("".join(f"{part}: {receiver}\n" for part, receiver in names.items()))
    teacher, datamodule = load("cached", entries.replace("BRIDGE", str(bridge)))
    assert teacher.whole is not None and teacher.whole.labels == CIHP
    photo = first_photo(datamodule)
    assert teacher.whole.log_parts(photo).shape == (2, 20, 16, 16)
    assert cached_target(datamodule).shape == (2, 20, 16, 16)
    card = teacher.card
    assert card.licence == "CC BY-NC 4.0" and card.name == "fpn-mobilenetv3_small + lip" and card.parts == CIHP.parts
    assert [member.bridge for member in card.members] == [None, "lip -> cihp"] and card.bridge is None
    assert type(card).from_dict(card.to_dict()) == card


def test_the_key_of_an_ensemble_depends_on_its_members_but_not_on_their_order(
    load: Loader, fpn: Path, teacher_file: Path
) -> None:
    def folder(*entries: object, size: int = 64) -> Path:
        _, datamodule = load("cached", f"[{','.join(map(str, entries))}]", f"teacher.size={size}")
        assert datamodule.cache is not None
        return datamodule.cache.path.parent

    both = folder(fpn, teacher_file)
    assert folder(teacher_file, fpn) == both
    others = {folder(fpn, fpn), folder(fpn), folder(fpn, teacher_file, size=128)}
    others |= {folder(fpn, f"{{checkpoint:{teacher_file},size:128}}")}
    assert len(others | {both}) == 5


def test_the_cache_of_an_ensemble_teaches_without_its_weights(load: Loader, fpn: Path, teacher_file: Path) -> None:
    both, filled = load("cached", f"[{fpn},{teacher_file}]")
    assert filled.cache is not None
    stored, again = load("cached", "null", f"teacher.cache={filled.cache.path.parent}")
    assert stored.whole is None and stored.card == both.card
    np.testing.assert_array_equal(cached_target(again), cached_target(filled))


def test_only_a_single_m2fp_gives_its_head(load: Loader, composed: Composer, fpn: Path, teacher_file: Path) -> None:
    cfg = composed("student=m2fp", "student.head_from_teacher=true", "student.network.width=null")
    for checkpoint in (fpn, f"[{teacher_file},{teacher_file}]"):
        teacher, datamodule = load("live", checkpoint)
        with pytest.raises(ValueError, match="needs a single M2FP of the data's label set"):
            new_student(cfg, datamodule, teacher)


def test_a_broken_member_is_named_before_anything_is_written(load: Loader, fpn: Path, tmp_path: Path) -> None:
    broken = save_fpn(tmp_path / "broken")
    broken.with_suffix(".safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"broken\.safetensors is not the file that broken\.json describes"):
        load("cached", f"[{fpn},{broken}]")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json does not exist; correct its path"):
        load("cached", f"[{fpn},{tmp_path / 'nowhere.json'}]")
    assert not (tmp_path / "cache").exists()


def test_a_member_of_other_parts_names_the_setting(load: Loader, fpn: Path, lip_fpn: Path) -> None:
    with pytest.raises(CheckpointError, match=r"\{checkpoint: .*lip\.json, labels: lip\}"):
        load("cached", f"[{fpn},{lip_fpn}]")
    with pytest.raises(ValueError, match="no bridge from the teacher's 'ccp' to the student's 'cihp'"):
        load("cached", f"[{fpn},{{checkpoint:{lip_fpn},labels:ccp}}]")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("[]", "is an empty list"),
        ("[{labels:lip}]", "names no file"),
        ("[{checkpoint:a.json,colour:red}]", "sets colour, which an entry cannot set"),
        ("[{checkpoint:a.json,tta:{flip:true}}]", "sets tta, which an entry cannot set"),
        ("[{checkpoint:a.json,size:100}]", "teacher.size=100 must be a multiple of 32"),
        ("[{checkpoint:a.json,normalisation:imagenet}]", "teacher.normalisation=imagenet must be mean and std"),
    ],
)
def test_wrong_lists_are_refused(composed: Composer, entries: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ensemble_members(composed("teacher=live", f"teacher.checkpoint={entries}"))


def test_a_members_settings_are_its_own(composed: Composer) -> None:
    entries = "teacher.checkpoint=[a.json,{checkpoint:b.json,labels:lip,size:128}]"
    cfg: DictConfig = composed("teacher=live", entries)
    first, second = ensemble_members(cfg)
    assert (first.teacher.checkpoint, first.teacher.labels, first.teacher.size) == ("a.json", "cihp", None)
    assert (second.teacher.checkpoint, second.teacher.labels, second.teacher.size) == ("b.json", "lip", 128)
    assert second.teacher.network.num_classes == LIP.num_classes and len(cfg.teacher.checkpoint) == 2


def test_what_needs_an_m2fp_refuses_another_network(composed: Composer, fpn: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a FPNStudent, not an M2FP"):
        load_m2fp(fpn, composed("teacher=live", f"teacher.checkpoint={fpn}"), CIHP)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["live", "cached"])
def test_an_ensemble_trains_a_student_and_is_scored(
    composed: Composer, fpn: Path, teacher_file: Path, tmp_path: Path, mode: str
) -> None:
    cache = [f"teacher.cache={tmp_path / 'cache'}"] if mode == "cached" else []
    cfg = composed(
        f"teacher={mode}", f"teacher.checkpoint=[{fpn},{teacher_file}]", *cache, "distill=classic",
        "trainer.max_epochs=1",
    )  # fmt: skip
    run(cfg)
    report = read_report(Path(cfg.run_dir) / "report.json")
    assert "train/kl" in report.curves and report.models["teacher"].miou is not None
    teacher = report.lineage.teacher
    assert [member.name for member in teacher.members] == ["fpn-mobilenetv3_small", "tiny"]
    assert report.models["teacher"].parameters == sum(member.parameters or 0 for member in teacher.members)
    assert "2 forward passes per photo" in str(report.models["teacher"].note)


@pytest.mark.parametrize(("override", "size"), [("data.size=128", 64), ("teacher.size=96", 96)])
def test_a_file_teaches_at_the_size_that_it_was_trained_at(load: Loader, fpn: Path, override: str, size: int) -> None:
    teacher, _ = load("live", fpn, override)
    assert teacher.whole is not None
    assert teacher.whole.geometry.size == teacher.card.size == size
