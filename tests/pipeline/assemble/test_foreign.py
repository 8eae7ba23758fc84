"""Models of `transformers` and exported models as teachers: live, cached, in ensembles, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from m2fp_kd.checkpoints.network import CheckpointError, load_network
from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.export.openvino import export_openvino
from m2fp_kd.compress.export.torch_export import export_torch_export
from m2fp_kd.compress.export.torchscript import export_torchscript
from m2fp_kd.data.bridging import cross
from m2fp_kd.distill.losses.feature import Feature
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.labels import LABEL_SETS, find_bridge
from m2fp_kd.pipeline import run
from m2fp_kd.runtime.artefact import ArtefactError, Card
from m2fp_kd.runtime.engines import EngineError
from m2fp_kd.runtime.provenance import TeacherCard
from tests.checkpoints.tiny_transformers import KINDS, names, save_tiny
from tests.pipeline.assemble.teachers import Loader, cached_target, first_photo, live_target, save_fpn
from tests.pipeline.conftest import Composer

CIHP, ATR = LABEL_SETS["cihp"], LABEL_SETS["atr"]
MEAN_STD = "teacher.normalisation={mean:[120,110,100],std:[60,55,50]}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a model of every kind with CIHP's parts, and the SegFormer of ATR's."""
    folder = tmp_path_factory.mktemp("transformers")
    for kind in KINDS:
        save_tiny(folder / kind, kind, names("cihp"))
    save_tiny(folder / "clothes", "segformer", names("atr"), seed=1)
    (folder / "clothes" / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_transformers_teaches_the_same_live_and_cached(load: Loader, folders: Path, kind: str) -> None:
    live, datamodule = load("live", folders / kind)
    cached, filled = load("cached", folders / kind)
    assert live.source is not None and live.source.gives == {"log_parts"} and live.source.channels is None
    photo = first_photo(datamodule)
    target = live_target(live, photo).exp()
    assert cached.whole is not None
    np.testing.assert_allclose(np.exp(cached.whole.log_parts(photo)[:1]), target, atol=0.02)
    assert cached_target(filled).shape == (2, 20, 16, 16)
    assert target.sum(dim=1).allclose(torch.ones(1, 16, 16), atol=1e-4) and target.std(dim=(2, 3)).max() > 1e-3
    assert cached.card.name == kind and cached.card.size == (96 if kind == "eomt" else 64) and cached.card.parameters


def test_views_of_a_model_of_fixed_size_are_averaged(load: Loader, folders: Path) -> None:
    teacher, datamodule = load("cached", folders / "eomt", "teacher.tta.flip=true", "teacher.tta.scales=[0.7,1]")
    assert teacher.whole is not None and teacher.whole.views == 4
    both = np.exp(teacher.whole.log_parts(first_photo(datamodule)))
    np.testing.assert_allclose(both[1], both[0][list(CIHP.flip_permutation)][..., ::-1], atol=1e-4)


def test_a_clothes_model_crosses_the_built_in_bridge(load: Loader, folders: Path) -> None:
    teacher, datamodule = load("live", folders / "clothes", "teacher.labels=atr")
    photo, bridge = first_photo(datamodule), find_bridge(ATR, CIHP)
    assert teacher.whole is not None and bridge is not None
    own = torch.from_numpy(teacher.whole.log_parts(photo)[:1])
    assert own.shape[1] == 18 and teacher.card.bridge == "atr -> cihp" and teacher.card.licence == "mit"
    torch.testing.assert_close(live_target(teacher, photo), cross(own, bridge), atol=1e-3, rtol=1e-3)


def test_classes_of_other_names_go_through_the_users_table(load: Loader, tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", "segformer", ["Nothing", "Trousers", "Person"])
    with pytest.raises(ValueError, match=r"classes Nothing, Trousers, Person are no parts of teacher\.labels=cihp"):
        load("live", tmp_path / "model")
    table = tmp_path / "classes.yaml"
    table.write_text("Nothing: background\nTrousers: pants\n")
    with pytest.raises(ValueError, match=r"classes\.yaml: lacks the model's parts Person"):
        load("live", tmp_path / "model", f"teacher.classes={table}")
    table.write_text(table.read_text() + "Person: {face: 0.25, upper-clothes: 0.75}\n")
    teacher, datamodule = load("live", tmp_path / "model", f"teacher.classes={table}")
    found = live_target(teacher, first_photo(datamodule)).exp()
    torch.testing.assert_close(found[:, 5], 3 * found[:, 13], atol=1e-4, rtol=1e-3)
    assert found[:, [0, 9, 5, 13]].sum(dim=1).min() > 0.999
    table.write_text(table.read_text().replace("0.25", "0.5").replace("0.75", "0.5"))
    assert load("live", tmp_path / "model", f"teacher.classes={table}")[0].card.sha256 != teacher.card.sha256


def test_a_missing_normalisation_is_asked_for(load: Loader, tmp_path: Path) -> None:
    save_tiny(tmp_path, "segformer", names("cihp"), preprocessor=None)
    with pytest.raises(CheckpointError, match=r"has no preprocessor_config\.json.*teacher\.normalisation=\{mean"):
        load("live", tmp_path)
    assert load("live", tmp_path, MEAN_STD)[0].card.name == tmp_path.name


def test_a_model_that_does_not_fit_its_names_is_refused(load: Loader, tmp_path: Path) -> None:
    save_tiny(tmp_path, "mask2former", names("cihp"))
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {index: name for index, name in config["id2label"].items() if index != "19"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError):
        load("live", tmp_path)


def test_what_a_foreign_teacher_cannot_give_is_refused_at_construction(load: Loader, folders: Path) -> None:
    teacher, _ = load("live", folders / "segformer")
    assert teacher.source is not None and not Feature.needs <= teacher.source.gives


@pytest.mark.parametrize("checkpoint", ["nobody/nothing", "runs/teacher"])
def test_a_name_that_is_neither_here_nor_on_the_hub(
    load: Loader, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(CheckpointError, match=rf"{checkpoint} is no file or folder here.*Correct the path"):
        load("cached", checkpoint)


EXPORTS: dict[str, Any] = {
    "model.onnx": export_onnx, "model.pt": export_torchscript, "model.pt2": export_torch_export,
}  # fmt: skip


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export an untrained fpn to every format, with square canvases of 64 pixels."""
    folder = tmp_path_factory.mktemp("artefacts")
    save_fpn(folder / "student")
    teacher = TeacherCard("m2fp", "CC BY-NC 4.0")
    card = Card(CIHP.to_dict(), {"size": 64, "fixed": True}, "fp32", "fpn", parameters=7, teacher=teacher)
    for name, export in EXPORTS.items():
        (folder / name.replace(".", "_")).mkdir()
        export(load_network(folder / "student.json").module, folder / name.replace(".", "_") / name, card)
    export_openvino(folder / "model_onnx" / "model.onnx", folder / "model_xml" / "model.xml", card)
    return folder


@pytest.mark.parametrize("name", ["model_onnx", "model_xml/model.xml", "model_pt", "model_pt2/model.pt2"])
def test_an_artefact_teaches_what_its_network_teaches(load: Loader, artefacts: Path, name: str) -> None:
    network, datamodule = load("live", artefacts / "student.json")
    artefact, _ = load("live", artefacts / name)
    photo = first_photo(datamodule)
    torch.testing.assert_close(
        live_target(artefact, photo).exp(), live_target(network, photo).exp(), atol=1e-3, rtol=1e-2
    )
    assert artefact.source is not None and artefact.source.gives == {"log_parts"}
    assert artefact.card.licence == "CC BY-NC 4.0" and artefact.card.parameters == 7 and artefact.card.megabytes


def test_an_artefact_keeps_its_own_size(load: Loader, artefacts: Path) -> None:
    teacher, datamodule = load("cached", artefacts / "model_onnx", "teacher.size=128", "teacher.tta.scales=[1,2]")
    assert teacher.card.size == 64 and cached_target(datamodule).shape == (2, 20, 16, 16)


def test_an_artefact_of_other_parts_is_refused(load: Loader, artefacts: Path) -> None:
    with pytest.raises(CheckpointError, match=r"20 parts of 'cihp', not the 18 of 'atr'; set teacher\.labels=cihp"):
        load("live", artefacts / "model_onnx", "teacher.labels=atr")
    other = artefacts / "changed"
    other.mkdir(exist_ok=True)
    for file in (artefacts / "model_onnx").iterdir():
        (other / file.name).write_bytes(file.read_bytes() + b" " * (file.suffix == ".onnx"))
    with pytest.raises(ArtefactError, match="SHA-256 differs"):
        load("live", other)


class Stripes(nn.Module):
    """An exported model of other people: class logits at stride 8."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 20, 8, stride=8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images)


def save_foreign(folder: Path, suffix: str, size: int = 64) -> Path:
    """Export `Stripes` without a card."""
    import openvino

    network, example = Stripes().eval(), torch.zeros(1, 3, size, size)
    if suffix == ".pt":
        torch.jit.trace(network, example).save(folder / "stripes.pt")
    else:
        torch.onnx.export(network, (example,), folder / "stripes.onnx", dynamo=False, input_names=["x"])
    if suffix == ".xml":
        openvino.save_model(openvino.convert_model(folder / "stripes.onnx"), folder / "stripes.xml", False)
    return folder / f"stripes{suffix}"


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".pt"])
def test_another_exported_model_teaches_with_labels_and_normalisation(
    load: Loader, tmp_path: Path, suffix: str
) -> None:
    path = save_foreign(tmp_path, suffix)
    with pytest.raises(ArtefactError, match=r"has no card\.json.*teacher\.labels=SET.*teacher\.normalisation"):
        load("live", path)
    teacher, datamodule = load("live", path, MEAN_STD, "teacher.licence=MIT")
    photo = first_photo(datamodule)
    images = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    mean, std = torch.tensor([120.0, 110, 100]).view(3, 1, 1), torch.tensor([60.0, 55, 50]).view(3, 1, 1)
    with torch.no_grad():
        wanted = Stripes()((images - mean) / std).softmax(dim=1)
    wanted = nn.functional.interpolate(wanted, (16, 16), mode="bilinear", antialias=True)
    torch.testing.assert_close(live_target(teacher, photo).exp(), wanted, atol=1e-3, rtol=1e-2)
    assert teacher.card.licence == "MIT" and teacher.card.name == "stripes" and teacher.card.sha256
    with pytest.raises(CheckpointError, match=r"gives 20 classes, but 18"):
        load("live", path, MEAN_STD, "teacher.labels=atr")


def test_files_that_no_engine_runs_are_refused(load: Loader, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"broken")
    with pytest.raises(EngineError, match="cannot be loaded"):
        load("live", tmp_path / "model.onnx", MEAN_STD)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.onnx: no such artefact"):
        load("live", tmp_path / "model.onnx")
    with pytest.raises(ArtefactError, match=r"found none.*a model of transformers has a config\.json"):
        load("live", tmp_path)
    (tmp_path / "model.pt2").write_bytes(b"program")
    with pytest.raises(EngineError, match=r"without a card\.json only \.onnx, \.xml, \.pt files"):
        load("live", tmp_path / "model.pt2", MEAN_STD)


def test_an_ensemble_may_be_of_all_kinds(load: Loader, folders: Path, artefacts: Path) -> None:
    entries = f"[{artefacts / 'model_onnx'},{folders / 'eomt'},{{checkpoint:{folders / 'clothes'},labels:atr}}]"
    teacher, datamodule = load("cached", entries, "teacher.tta.flip=true")
    assert teacher.whole is not None and teacher.whole.views == 6
    assert [member.size for member in teacher.card.members] == [64, 96, 64]
    assert teacher.card.licence == "no licence known"  # EoMT's folder names none
    assert cached_target(datamodule).shape == (2, 20, 16, 16)
    assert teacher.whole.parse(first_photo(datamodule)).shape == (64, 64)


def test_pseudo_labels_are_not_guessed_by_a_member_of_an_ensemble(load: Loader, folders: Path) -> None:
    entries = f"[{folders / 'segformer'},{{checkpoint:{folders / 'clothes'},labels:atr}}]"
    with pytest.raises(ValueError, match="the bridge atr -> cihp divides belt"):
        load("cached", entries, "data.module.pseudo_labels=true")


@pytest.mark.long
@pytest.mark.parametrize("mode", ["live", "cached"])
def test_a_student_learns_from_a_model_of_transformers(
    composed: Composer, folders: Path, tmp_path: Path, mode: str
) -> None:
    cache = [f"teacher.cache={tmp_path / 'cache'}"] if mode == "cached" else []
    cfg = composed(
        f"teacher={mode}", f"teacher.checkpoint={folders / 'clothes'}", "teacher.labels=atr", *cache,
        "distill=classic", "trainer.max_epochs=1",
    )  # fmt: skip
    run(cfg)
    report = read_report(Path(cfg.run_dir) / "report.json")
    assert "train/kl" in report.curves and report.lineage.teacher.bridge == "atr -> cihp"
    assert report.lineage.licences == ("mit",)
