"""The card travels with the model, beside it and inside it, and is checked against it."""

import json
import shutil
from dataclasses import asdict, replace

import pytest

from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.artefact import ArtefactError, Card, find_model, load_card, save_card
from m2fp_kd.runtime.geometry import Geometry

CARD = Card(
    label_set=LABEL_SETS["cihp"].to_dict(),
    geometry=asdict(Geometry(512, fixed=False)),
    precision="int8",
    head="m2fp",
    people="persons",
    teacher={"name": "m2fp_resnet101", "licence": "CC BY-NC 4.0"},
    parity={"fp32 -> int8": {"pixel_agreement": 0.995}},
    parents={"student.safetensors": "ab" * 32},
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
def test_a_wrong_card_says_what_is_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CARD, **change)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda values: values.pop("head"), "'head'.*missing"),
        (lambda values: values.update(colour="blue"), "unknown fields.*colour.*newer"),
    ],
)
def test_missing_and_unknown_fields_are_named(edit, message):
    values = CARD.to_dict()
    edit(values)
    with pytest.raises(ValueError, match=message):
        Card.from_dict(values)


@pytest.fixture
def model(artefact):
    return artefact(teacher={"name": "first"}) / "model.onnx"


def test_the_card_is_read_from_beside_the_model(model):
    assert load_card(model).teacher == {"name": "first"}


def test_the_embedded_card_serves_when_the_model_comes_alone(model, tmp_path):
    alone = tmp_path / "alone.onnx"
    shutil.copy(model, alone)
    assert load_card(alone) == load_card(model)


def test_saving_again_replaces_both_cards(model):
    save_card(model, replace(load_card(model), teacher={"name": "second"}))
    assert load_card(model).teacher == {"name": "second"}
    (model.parent / "card.json").unlink()
    assert load_card(model).teacher == {"name": "second"}


def test_another_model_beside_the_card_is_an_error(model):
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(ArtefactError, match=r"model\.onnx: is not the file that card\.json"):
        load_card(model)


@pytest.mark.parametrize("text", ["{", "[]", '"card"', "{}", '{"sha256": 3}'])
def test_a_broken_card_is_named(model, text):
    (model.parent / "card.json").write_text(text)
    with pytest.raises(ArtefactError, match=r"card\.json"):
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
