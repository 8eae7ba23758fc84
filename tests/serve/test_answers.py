"""Polygons, confidence and other label sets in answers; bad values of `return` and `labels`."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.labels import LABEL_SETS, find_translation
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.polygons import polygons
from m2fp_kd.runtime.provenance import TeacherCard
from m2fp_kd.runtime.relabel import relabelled
from m2fp_kd.serve.app import create_app
from m2fp_kd.serve.models import load_model
from tests.runtime.rasterised import beyond_a_pixel, rasterised
from tests.serve.conftest import UNLIMITED, encoded
from tests.serve.made_up_models import made_up, parsing

PHOTO = np.full((120, 160, 3), 127, np.uint8)


@pytest.fixture
def fake():
    """A client of a "lite" model without probabilities and a "full" one with them, both of CIHP's labels."""
    models, _ = made_up("lite", "full")
    yield create_app(models, UNLIMITED).test_client()
    for model in models.values():
        model.worker.close()


def picture(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


@pytest.mark.parametrize("mode", ["lite", "full"])
def test_polygons_are_those_of_the_masks(fake, mode):
    answer = fake.post(f"/api/parse?mode={mode}&return=polygons", data=encoded(PHOTO)).json
    expected = parsing(mode, PHOTO)
    assert answer["labels"] == "cihp" and "map" not in answer
    for served, found in ((answer["parts"], expected.parts), (answer["people"]["found"], expected.people)):
        assert len(served) == len(found) > 1
        for one, other in zip(served, found, strict=True):
            assert one["polygons"] == [[ring.tolist() for ring in polygon] for polygon in polygons(other.mask)]
            rings = [[np.array(ring) for ring in polygon] for polygon in one["polygons"]]
            assert beyond_a_pixel(other.mask, rasterised(rings, other.mask.shape)) == 0


def test_the_models_licence_is_in_the_answer(artefact):
    model = load_model("lite", artefact(teacher=TeacherCard(licence="CC BY-NC 4.0")), 1, 1, None, UNLIMITED)
    answered = create_app({"lite": model}, UNLIMITED).test_client().post("/api/parse", data=encoded(PHOTO)).json
    model.worker.close()
    assert answered["licence"] == "CC BY-NC 4.0"


def test_persons_have_masks_too(fake):
    addresses = (f"/api/parse?mode={mode}&return=masks" for mode in ("lite", "full"))
    lite, full = (fake.post(address, data=encoded(PHOTO)).json["people"]["found"] for address in addresses)
    assert all("mask" not in region for region in lite)
    for one, person in zip(full, parsing("full", PHOTO).persons, strict=True):
        np.testing.assert_array_equal(picture(one["mask"]), person.mask)


def test_confidence_is_a_grey_picture_of_the_photos_size(fake):
    answer = fake.post("/api/parse?mode=full&return=confidence,map", data=encoded(PHOTO)).json
    found = picture(answer["confidence"])
    assert found.dtype == np.uint8 and found.shape == PHOTO.shape[:2]
    np.testing.assert_array_equal(found, parsing("full", PHOTO).confidence())
    sure = 255 * np.exp(4) / (np.exp(4) + 19)
    assert abs(int(found.max()) - sure) < 1 and found.min() < sure - 20


def test_all_is_what_the_model_can_give(fake):
    lite, full = (
        fake.post(f"/api/parse?mode={mode}&return=all", data=encoded(PHOTO)).json for mode in ("lite", "full")
    )
    assert "confidence" not in lite and "confidence" in full and lite["parts"][0]["polygons"]
    models = fake.get("/api/models").json["models"]
    assert [model["probabilities"] for model in models] == [False, True]


@pytest.mark.parametrize("mode", ["lite", "full"])
@pytest.mark.parametrize("labels", ["lip", "atr", "pascal_person_part"])
def test_answers_in_another_label_set(fake, mode, labels):
    answer = fake.post(f"/api/parse?mode={mode}&labels={labels}&return=map,rle", data=encoded(PHOTO)).json
    expected = relabelled(parsing(mode, PHOTO), find_translation(LABEL_SETS["cihp"], labels))
    np.testing.assert_array_equal(picture(answer["map"]), expected.part_map)
    assert answer["labels"] == labels and "labels" in answer["timings_ms"]
    assert [part["name"] for part in answer["parts"]] == [part.name for part in expected.parts]
    assert all(part["name"] in LABEL_SETS[labels].parts for part in answer["parts"])
    assert sum(answer["timings_ms"].values()) == pytest.approx(2 * answer["timings_ms"]["total"], abs=0.01)


def test_the_own_label_set_changes_nothing(fake):
    answers = [
        fake.post(f"/api/parse?return=map{more}", data=encoded(PHOTO)).json for more in ("", "&labels=", "&labels=cihp")
    ]
    assert all(answer | {"timings_ms": 0} == answers[0] | {"timings_ms": 0} for answer in answers)
    assert all("labels" not in answer["timings_ms"] for answer in answers)


@pytest.mark.parametrize("path", ["/api/parse", "/api/parse/batch"])
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("return=polygon", "choose from map, masks, rle, polygons, confidence, mosaic and all"),
        ("return=map;rle", "choose from map, masks, rle, polygons"),
        ("return=confidence", "gives no probabilities; leave out return=confidence"),
        ("labels=LIP", "choose from cihp, atr, lip, pascal_person_part"),
        ("labels=mhp_v2", "choose from cihp, atr, lip, pascal_person_part"),
        ("labels=../../etc/passwd.yaml", "choose from cihp, atr, lip, pascal_person_part"),
        ("labels=lip%00", "choose from cihp, atr, lip, pascal_person_part"),
    ],
)
def test_a_bad_value_is_refused_before_any_work_with_the_good_ones(fake, monkeypatch, path, query, words):
    monkeypatch.setattr("m2fp_kd.serve.parse.photos_of", None)
    answer = fake.post(f"{path}?{query}", data=encoded(PHOTO))
    assert answer.status_code == 400 and words in answer.json["error"]["message"]


def test_the_document_lists_kinds_and_label_sets(fake):
    document = fake.get("/openapi.json").json
    query = {one["name"]: one for one in document["paths"]["/api/parse"]["post"]["parameters"]}
    assert query["labels"]["schema"]["enum"] == ["", "cihp", "atr", "lip", "pascal_person_part"]
    assert "polygons, confidence" in query["return"]["description"]


def test_an_artefact_of_the_runtime_answers_alike(client, people_artefact, stripes):
    """The real parser, persons included, in ATR's labels."""
    photo = np.asarray(Image.fromarray(stripes).resize((225, 180)))
    answer = client.post("/api/parse?mode=full&labels=atr&return=map,polygons", data=encoded(photo)).json
    translation = find_translation(LABEL_SETS["cihp"], "atr")
    expected = Parser.load(people_artefact, "onnxruntime", translation=translation)(photo)
    np.testing.assert_array_equal(picture(answer["map"]), expected.part_map)
    assert [one["score"] for one in answer["people"]["found"]] == [one.score for one in expected.people]
