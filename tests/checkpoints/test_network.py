"""A network's safetensors and architecture: round trip, and every way in which the pair can be wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from m2fp_kd.checkpoints.network import FORMAT, CheckpointError, file_sha256, load_network, save_network
from m2fp_kd.labels import load_label_set
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import DataSource, Lineage, ObjectiveSummary
from tests.hostile.disk import full

LABELS = load_label_set("pascal_person_part")
LINEAGE = Lineage(student="fpn", val_miou=0.5)


def architecture(name: str = "mobilenetv3_small", weights: str | None = "/gone.pth") -> dict[str, Any]:
    backbone = {
        "_target_": "m2fp_kd.models.backbones.build_backbone", "name": name, "pretrained": False, "weights": weights
    }  # fmt: skip
    return {"_target_": "m2fp_kd.models.fpn.FPNStudent", "backbone": backbone, "num_parts": 7, "width": 16}


@pytest.fixture
def saved(tmp_path: Path) -> tuple[FPNStudent, Path]:
    student = FPNStudent(build_backbone("mobilenetv3_small"), 7, width=16).eval()
    return student, save_network(tmp_path / "student", student, LABELS, Geometry(64), architecture(), LINEAGE)


def test_an_older_description_never_stands_beside_new_weights(
    saved: tuple[FPNStudent, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is killed between the two files."""
    monkeypatch.setattr("m2fp_kd.checkpoints.network.file_sha256", lambda path: exec("raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        save_network(saved[1], saved[0], LABELS, Geometry(64), architecture(), LINEAGE)
    assert not saved[1].exists() and saved[1].with_suffix(".safetensors").exists()


def edit(card: Path, **changes: Any) -> None:
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))


def test_round_trip_without_the_downloads_that_started_it(saved: tuple[FPNStudent, Path]) -> None:
    student, card = saved
    network = load_network(card)
    images = torch.randint(0, 256, (1, 3, 64, 64)).float()
    assert torch.equal(network.module(images).part_logits, student(images).part_logits)
    assert (network.labels, network.geometry, network.lineage) == (LABELS, Geometry(64), LINEAGE)


def test_a_file_of_version_2_loads(saved: tuple[FPNStudent, Path]) -> None:
    content = json.loads(saved[1].read_text())
    content["format"] = "m2fp-kd network, version 2"
    content["recipe"] = content.pop("architecture")
    content["lineage"] = {
        "teacher": {}, "licences": [], "parent": None, "data": {"name": "pascal_person_part", "sha256": "aa"},
        "recipe": {"terms": {"ce": 1.0}, "teacher_terms": [], "alpha": 0.0, "temperature": 4.0, "fade": None},
        "student": "fpn", "val/mIoU": 0.5,
    }  # fmt: skip
    saved[1].write_text(json.dumps(content))
    network = load_network(saved[1])
    assert network.architecture == content["recipe"]
    assert network.lineage == Lineage(
        data=DataSource("pascal_person_part", "aa"),
        objective=ObjectiveSummary({"ce": 1.0}, (), 0.0, 4.0),
        student="fpn",
        val_miou=0.5,
    )


def test_an_unknown_fact_in_the_lineage_is_named(saved: tuple[FPNStudent, Path]) -> None:
    edit(saved[1], lineage={"colour": "blue"})
    with pytest.raises(CheckpointError, match=r"student\.json: not valid \(.*unknown fields \['colour'\] of a Lineage"):
        load_network(saved[1])


@pytest.mark.parametrize("content", [b"[]", b"{", b'"\xff"', b"[" * 100_000])
def test_a_file_that_is_no_json_object_is_named(saved: tuple[FPNStudent, Path], content: bytes) -> None:
    saved[1].write_bytes(content)
    with pytest.raises(CheckpointError, match=r"student\.json"):
        load_network(saved[1])


@pytest.mark.parametrize("name", ["architecture", "label_set", "geometry", "lineage", "weights"])
@pytest.mark.parametrize("value", [None, 5, [5], {"colour": "blue"}, {"_target_": "m2fp_kd.models.fpn.FPNStudent"}])
def test_a_broken_entry_is_named(saved: tuple[FPNStudent, Path], name: str, value: Any) -> None:
    edit(saved[1], **{name: value})
    with pytest.raises(CheckpointError, match=r"student\.json: not valid \(") as error:
        load_network(saved[1])
    assert "\n" not in str(error.value)


def test_a_missing_entry_is_named(saved: tuple[FPNStudent, Path]) -> None:
    content = json.loads(saved[1].read_text())
    del content["weights"], content["lineage"]
    saved[1].write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"student\.json lacks lineage, weights"):
        load_network(saved[1])


def test_changed_weights_are_refused(saved: tuple[FPNStudent, Path]) -> None:
    weights = saved[1].with_suffix(".safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(CheckpointError, match="is not the file"):
        load_network(saved[1])


def test_missing_halves_are_named(saved: tuple[FPNStudent, Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"elsewhere\.json"):
        load_network(tmp_path / "elsewhere.json")
    saved[1].with_suffix(".safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"student\.safetensors"):
        load_network(saved[1])


def test_another_architecture_is_listed_tensor_by_tensor(saved: tuple[FPNStudent, Path]) -> None:
    edit(saved[1], architecture=architecture("shufflenetv2", weights=None))
    with pytest.raises(CheckpointError, match=r"missing.*surplus.*misshapen"):
        load_network(saved[1])


def test_a_misshapen_tensor_is_named_with_both_shapes(saved: tuple[FPNStudent, Path]) -> None:
    weights = saved[1].with_suffix(".safetensors")
    state = load_file(weights)
    name = next(name for name in state if name.startswith("classifier") and state[name].ndim == 4)
    state[name] = state[name][:5].contiguous()
    save_file(state, weights)
    edit(saved[1], weights={"file": weights.name, "sha256": file_sha256(weights)})
    with pytest.raises(CheckpointError, match=r"misshapen: classifier.*\(5, 16, 1, 1\) instead of \(7, 16, 1, 1\)"):
        load_network(saved[1])


def test_an_architecture_may_build_our_networks_only(saved: tuple[FPNStudent, Path]) -> None:
    edit(saved[1], architecture={"_target_": "os.system", "command": "true"})
    with pytest.raises(CheckpointError, match=r"os\.system"):
        load_network(saved[1])


def test_a_file_of_another_kind_is_refused(saved: tuple[FPNStudent, Path]) -> None:
    edit(saved[1], format="something else")
    with pytest.raises(CheckpointError, match="not a network file of this version"):
        load_network(saved[1])
    broken = {"[]": "format None", '{"weights": ': "not valid", "\udcff": "not valid"}
    for text, reason in (broken | {f'{{"format": "{FORMAT}"}}': "lacks architecture, geometry"}).items():
        saved[1].write_text(text, errors="surrogateescape")
        with pytest.raises(CheckpointError, match=rf"student\.json.*{reason}"):
            load_network(saved[1])


def test_a_full_disk_leaves_the_old_pair_whole(saved: tuple[FPNStudent, Path]) -> None:
    student, card = saved
    with full(), pytest.raises(OSError) as error:
        save_network(card.with_suffix(""), student, LABELS, Geometry(64), architecture(), Lineage())
    assert error.value.filename == str(card.with_suffix(".safetensors"))
    assert load_network(card).lineage == LINEAGE


def test_others_may_read_the_files_as_they_may_read_any_new_file(saved: tuple[FPNStudent, Path]) -> None:
    (saved[1].parent / "new").touch()
    assert len({path.stat().st_mode for path in saved[1].parent.iterdir() if path.is_file()}) == 1
