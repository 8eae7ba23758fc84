"""The card is saved beside the model and inside it, and its hashes are checked."""

import json
import shutil
from dataclasses import asdict, replace
from importlib import resources

import pytest

from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.artefact import ArtefactError, Card, find_model, load_card, load_checks, save_card, save_checks
from m2fp_kd.runtime.checks import CheckResults, Hop, Latency, Score
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import DataSource, TeacherCard

CARD = Card(
    label_set=LABEL_SETS["cihp"].to_dict(),
    geometry=asdict(Geometry(512, fixed=False)),
    precision="int8",
    head="m2fp",
    people="persons",
    teacher=TeacherCard("m2fp_resnet101", "CC BY-NC 4.0"),
    data=DataSource("cihp"),
    parents={"student.safetensors": "ab" * 32},
)


CHECKS = CheckResults(
    "openvino",
    "f32",
    (Hop("fp32 -> int8", 0.995),),
    {"openvino": Latency(5.0, 7.0, 2, "f32", "A CPU")},
    Score("cihp, validation photos", 100, 0.25),
)


def test_dictionary_round_trip():
    assert Card.from_dict(json.loads(json.dumps(CARD.to_dict()))) == CARD
    assert CARD.labels == LABEL_SETS["cihp"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "int4"}, "precision is 'int4', not one of fp32, int8"),
        ({"head": "unet"}, "head is 'unet'"),
        ({"people": "regions"}, "people is 'regions'"),
        ({"head": "fpn"}, "needs an m2fp head"),
        ({"geometry": {"size": 100, "fixed": True}}, "multiple of 32"),
        ({"label_set": {"name": "x"}}, "lacks.*parts"),
    ],
)
def test_an_invalid_card_names_the_field(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CARD, **change)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda values: values.pop("head"), "'head'.*missing"),
        (lambda values: values.update(colour="blue"), "unknown fields.*colour.*newer"),
        (lambda values: values.update(format=99), "is of format 99, but this version reads format 2"),
    ],
)
def test_missing_and_unknown_fields_are_named(edit, message):
    values = CARD.to_dict()
    edit(values)
    with pytest.raises(ValueError, match=message):
        Card.from_dict(values)


@pytest.fixture
def model(artefact):
    return artefact(teacher=TeacherCard("first")) / "model.onnx"


def test_the_card_is_read_from_beside_the_model(model):
    assert load_card(model).teacher == TeacherCard("first")


def test_a_model_without_files_beside_it_has_its_embedded_card(model, tmp_path):
    alone = tmp_path / "alone.onnx"
    shutil.copy(model, alone)
    assert load_card(alone) == load_card(model)


def test_saving_again_replaces_both_cards(model):
    save_card(model, replace(load_card(model), teacher=TeacherCard("second")))
    assert load_card(model).teacher == TeacherCard("second")
    (model.parent / "card.json").unlink()
    assert load_card(model).teacher == TeacherCard("second")


def test_checks_lie_beside_the_model_and_leave_it_untouched(model):
    before = {name: (model.parent / name).read_bytes() for name in ("model.onnx", "card.json")}
    assert load_checks(model) == CheckResults()
    save_checks(model, CHECKS)
    assert load_checks(model) == CHECKS
    assert {name: (model.parent / name).read_bytes() for name in before} == before


def test_checks_of_another_model_are_an_error_and_a_new_model_has_none(model):
    save_checks(model, CHECKS)
    path = model.parent / "checks.json"
    path.write_text(path.read_text().replace('"model.onnx": "', '"model.onnx": "0'))
    with pytest.raises(ArtefactError, match=r"model\.onnx: is not the file that checks\.json"):
        load_checks(model)
    save_card(model, CARD)
    assert load_checks(model) == CheckResults()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda values: values.update(format=99), "checks of format 99, but this version reads format 1"),
        (lambda values: values.pop("parity"), "broken checks: 'parity'"),
        (lambda values: values["latency"]["openvino"].update(colour="blue"), "broken checks.*colour"),
    ],
)
def test_broken_checks_are_named(model, edit, message):
    save_checks(model, CHECKS)
    path = model.parent / "checks.json"
    values = json.loads(path.read_text())
    edit(values)
    path.write_text(json.dumps(values))
    with pytest.raises(ArtefactError, match=rf"checks\.json: not valid: {message}"):
        load_checks(model)


def old_card(model):
    """The card of a model in the first layout, which held everything in one file."""
    hop = {"pixel_agreement": 0.98, "miou_change": -0.001, "worst_part": "hat", "worst_part_change": -0.01,
           "passed": True, "thresholds": {"max_miou_drop": 0.5}, "miou_before": 0.2, "miou_after": 0.199}  # fmt: skip
    facts = {"p50_ms": 5.5, "p95_ms": 7.0, "threads": 2, "arithmetic": "f32", "cpu": "A CPU", "fp32_p50_ms": 5.0}
    return {
        "label_set": CARD.label_set, "geometry": CARD.geometry, "precision": "int8", "head": "m2fp",
        "outputs": ["part_map"], "backbone": "resnet18", "people": "persons", "engine": "openvino",
        "arithmetic": "f32", "teacher": {"name": "m2fp", "trained_on": "drawn scenes"}, "data": {},
        "sizes": {"parameters": 7}, "parity": {"fp32 -> int8": hop}, "latency": {"openvino": facts},
        "git_commit": None, "versions": {}, "parents": {"fp32 graph": "ab"}, "float_layers": {},
    }  # fmt: skip


@pytest.mark.parametrize("embedded", [False, True])
def test_a_card_of_the_first_layout_gives_card_and_checks(model, embedded):
    if embedded:
        onnx = pytest.importorskip("onnx")
        graph = onnx.load(model)
        onnx.helper.set_model_props(graph, {"m2fp_kd.card": json.dumps(old_card(model))})
        (model.parent / "card.json").unlink()
        onnx.save(graph, model)
    else:
        hashes = {"sha256": {"model.onnx": file_sha256(model)}}
        (model.parent / "card.json").write_text(json.dumps(hashes | old_card(model)))
    card, checks = load_card(model), load_checks(model)
    assert (card.precision, card.backbone, card.parameters) == ("int8", "resnet18", 7)
    assert card.teacher == TeacherCard("m2fp", trained_on=DataSource("drawn scenes"))
    assert card.parents == {"fp32 graph": "ab"}
    assert (checks.engine, checks.precision) == ("openvino", "f32")
    assert checks.parity[0] == Hop(
        "fp32 -> int8", 0.98, -0.001, None, "hat", -0.01, True, {"max_miou_drop": 0.5}, 0.2, 0.199
    )
    assert checks.latency == {"openvino": Latency(5.5, 7.0, 2, "f32", "A CPU", 5.0)}
    assert checks.slower_int8("openvino") == (
        "openvino ran INT8 slower than fp32: 5.5 and 5.0 ms a photo (A CPU, threads: 2)"
    )


def test_the_demos_embedded_card_agrees_with_the_file_beside_it(tmp_path):
    demo = resources.files("m2fp_kd") / "demo" / "model.onnx"
    alone = shutil.copy(demo, tmp_path / "alone.onnx")
    assert load_card(alone) == load_card(demo)
    assert load_checks(demo).parity and load_checks(demo).score


def test_another_model_beside_the_card_is_an_error(model):
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(ArtefactError, match=r"model\.onnx: is not the file that card\.json"):
        load_card(model)


@pytest.mark.parametrize("name", ["card.json", "checks.json"])
@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'"card"', b"{}", b'{"sha256": 3}', b'{"name": "\xff"}', b"[" * 100_000]
)
def test_a_broken_file_beside_a_model_is_named(model, name, content):
    (model.parent / name).write_bytes(content)
    with pytest.raises(ArtefactError, match=name):
        load_card(model) if name == "card.json" else load_checks(model)


def test_a_card_with_a_broken_label_set_is_named(model):
    path = model.parent / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"label_set": {"name": "x"}}))
    with pytest.raises(ArtefactError, match=r"card\.json: not valid: label set lacks \['parts'\]"):
        load_card(model)


def test_a_model_without_any_card_is_an_error(model):
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(model)
    del graph.metadata_props[:]
    (model.parent / "card.json").unlink()
    onnx.save(graph, model)
    with pytest.raises(ArtefactError, match=r"no card\.json beside it and none embedded"):
        load_card(model)


def test_an_openvino_model_needs_both_files(tmp_path):
    model = tmp_path / "model.xml"
    model.write_text("<net/>")
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"weights")
    save_card(model, CARD)
    assert load_card(model) == CARD
    weights.write_bytes(b"other weights")
    with pytest.raises(ArtefactError, match=r"model\.bin: is not the file"):
        load_card(model)
    weights.unlink()
    with pytest.raises(ArtefactError, match=r"model\.bin: missing"):
        load_card(model)


def test_a_model_is_found_by_file_or_folder(model):
    assert find_model(model) == find_model(str(model.parent)) == model
    (model.parent / "other.onnx").touch()
    with pytest.raises(ArtefactError, match=r"found model\.onnx, other\.onnx; name the file"):
        find_model(model.parent)
    with pytest.raises(FileNotFoundError, match="gone: no such artefact"):
        find_model(model.parent / "gone")


@pytest.mark.parametrize("name", ["model.xml", "model.pt2", "model.pt"])
def test_a_folder_with_a_model_of_any_format(tmp_path, name):
    for file in (name, "model.bin", "card.json"):
        (tmp_path / file).touch()
    assert find_model(tmp_path) == tmp_path / name


@pytest.mark.parametrize("name", ["model.pt2", "model.pt"])
def test_the_card_of_a_torch_file_lies_beside_it(tmp_path, name):
    model = tmp_path / name
    model.write_bytes(b"archive")
    save_card(model, CARD)
    assert load_card(model) == CARD
    model.write_bytes(b"another")
    with pytest.raises(ArtefactError, match=r"is not the file that card\.json"):
        load_card(model)


def test_a_folder_without_a_model_is_an_error(tmp_path):
    with pytest.raises(ArtefactError, match="found none"):
        find_model(tmp_path)
