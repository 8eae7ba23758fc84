"""The API answers valid requests with the results of the runtime."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.runtime.parser import Parser
from m2fp_kd.serve.answers import RETURNS
from m2fp_kd.serve.settings import Settings
from tests.serve.conftest import encoded


def picture(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def ways(data: bytes) -> dict[str, dict]:
    """A photo in every form that a request can take."""
    return {
        "multipart": {"data": {"photo": (io.BytesIO(data), "a.png")}},
        "raw": {"data": data, "content_type": "image/png"},
        "untyped": {"data": data},
        "json": {"json": {"photo": base64.b64encode(data).decode()}},
        "data url": {"json": {"photo": f"data:image/png;base64,{base64.b64encode(data).decode()}"}},
    }


@pytest.mark.parametrize("way", ways(b""))
def test_every_way_of_sending_a_photo_gives_the_runtimes_result(client, artefact, stripes, way):
    expected = Parser.load(artefact(), "onnxruntime")(stripes)
    answer = client.post("/api/parse", **ways(encoded(stripes))[way])
    assert answer.status_code == 200 and answer.json["size"] == [45, 90] and answer.json["mode"] == "lite"
    part_map = picture(answer.json["map"])
    np.testing.assert_array_equal(np.asarray(part_map), expected.part_map)
    assert part_map.getpalette()[: 3 * 3] == expected.labels.palette()[: 3 * 3]
    assert [part["name"] for part in answer.json["parts"]] == ["green", "blue"]
    for part, found in zip(answer.json["parts"], expected.parts, strict=True):
        assert (part["area"], part["box"], part["colour"]) == (found.area, list(found.box), list(found.colour))
    assert answer.json["people"]["kind"] == "regions" and len(answer.json["people"]["found"]) == 1
    assert {"queue", "read", "place", "network", "restore", "total"} == set(answer.json["timings_ms"])


def test_an_answer_holds_only_the_requested_results(client, stripes):
    data = encoded(stripes)
    plain = client.post("/api/parse?return=", data=data).json
    assert not {"map", "mosaic"} & set(plain) and not {"mask", "rle"} & set(plain["parts"][0])
    possible = [name for name in RETURNS if name != "confidence"]  # which needs probabilities
    everything = client.post("/api/parse?return=all", data=data).json
    assert everything == everything | client.post(f"/api/parse?return={','.join(possible)}", data=data).json | {
        "timings_ms": everything["timings_ms"]
    }
    assert picture(everything["mosaic"]).format == "JPEG"
    for part in everything["parts"]:
        mask = np.asarray(picture(part["mask"]))
        assert mask.dtype == bool and mask.sum() == part["area"] and part["rle"]["size"] == [45, 90]


@pytest.mark.parametrize("mode", ["lite", "full"])
def test_answers_equal_the_methods_of_a_parsing(client, artefact, people_artefact, stripes, mode):
    photo = stripes if mode == "lite" else np.zeros((180, 225, 3), np.uint8)
    answer = client.post(f"/api/parse?mode={mode}&return=all", data=encoded(photo)).json
    parsing = Parser.load(artefact() if mode == "lite" else people_artefact, "onnxruntime")(photo)
    served = [*answer["parts"], *answer["people"]["found"]]
    results = parsing.to_coco(image_id=3)
    assert [result["segmentation"] for result in results] == [found["rle"] for found in served]
    assert [result["area"] for result in results] == [found["area"] for found in served]
    assert [result["score"] for result in results] == [
        1 if found["score"] is None else found["score"] for found in served
    ]
    assert base64.b64decode(answer["mosaic"]) == encoded(parsing.mosaic(), "JPEG", quality=90, subsampling=0)
    if mode == "lite":
        masks = dict(zip(*map(parsing.to_modelscope().get, ("labels", "masks")), strict=True))
        for part in answer["parts"]:
            np.testing.assert_array_equal(masks[part["name"]], np.asarray(picture(part["mask"])))


def test_full_mode_separates_persons(client):
    photo = encoded(np.zeros((180, 225, 3), np.uint8))
    full = client.post("/api/parse?mode=full", data=photo).json
    assert full["mode"] == "full" and full["people"]["kind"] == "persons"
    assert [round(person["score"], 3) for person in full["people"]["found"]] == [0.675, 0.527, 0.449]
    assert "people" in full["timings_ms"]


def test_a_broken_photo_of_a_batch_does_not_stop_the_others(client, stripes):
    good = encoded(stripes)
    files = [(io.BytesIO(data), f"{index}.png") for index, data in enumerate((good, b"broken", good))]
    results = client.post("/api/parse/batch", data={"photo": files}).json["results"]
    assert [result.get("error", {}).get("code") for result in results] == [None, "photo_broken", None]
    assert results[0]["map"] == results[2]["map"]
    texts = [base64.b64encode(data).decode() for data in (good, good)]
    assert len(client.post("/api/parse/batch", json={"photos": texts}).json["results"]) == 2


def test_models_limits_and_health_are_reported(client):
    answer = client.get("/api/models").json
    assert [model["mode"] for model in answer["models"]] == ["lite", "full"] and answer["token"] is False
    assert answer["models"][0]["label_set"]["parts"] == ["background", "green", "blue"]
    assert answer["models"][0]["label_sets"] == [answer["models"][0]["label_set"]]
    assert answer["limits"] == {"megabytes": 20, "megapixels": 50, "photos": 16}
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"ready": {"lite": True, "full": True}}


def test_metrics_count_answers_and_photos(client, stripes):
    client.post("/api/parse", data=encoded(stripes))
    client.post("/api/parse", data=b"broken")
    text = client.get("/metrics").text
    assert 'm2fp_kd_requests_total{endpoint="parse_one",status="200"} 1.0' in text
    assert 'm2fp_kd_requests_total{endpoint="parse_one",status="422"} 1.0' in text
    assert 'm2fp_kd_photos_total{mode="lite"} 1.0' in text and 'm2fp_kd_waiting_photos{mode="full"} 0.0' in text
    assert 'm2fp_kd_waiting_bytes{mode="lite"} 0.0' in text


def test_a_token_is_required_where_one_is_set(client_with, stripes):
    client = client_with(Settings(token="secret"))
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
        refused = client.post("/api/parse", data=encoded(stripes), headers=headers)
        assert (refused.status_code, refused.json["error"]["code"]) == (401, "unauthorized")
    assert (
        client.post("/api/parse", data=encoded(stripes), headers={"Authorization": "Bearer secret"}).status_code == 200
    )
    assert client.get("/healthz").status_code == 200


def test_a_client_over_its_rate_learns_when_to_retry(client_with):
    client = client_with(Settings(requests_per_minute=12))
    answers = [client.get("/api/models") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json["error"]["code"] == "rate_limited" and 1 <= int(answers[2].headers["Retry-After"]) <= 6
    assert client.get("/healthz").status_code == 200


def test_every_answer_has_the_security_headers(client):
    for path in ("/api/models", "/healthz", "/nowhere"):
        headers = client.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert not any(name.startswith("Access-Control") for name in headers.keys())  # noqa: SIM118
