"""Who may ask, from where, and how much: tokens, host names, origins, rates, content types."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.serve.guard import RateLimit
from m2fp_kd.serve.settings import Settings
from tests.serve.conftest import encoded

SMALL = encoded(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))


def code(answer) -> str:
    return answer.json["error"]["code"]


def test_wrong_tokens_are_limited_and_learn_the_scheme(client_with):
    client = client_with(Settings(token="secret", requests_per_minute=60))
    answers = [client.get("/api/models", headers={"Authorization": "Bearer wrong"}) for _ in range(300)]
    assert [one.status_code for one in answers[:10]] == [401] * 10 and answers[-1].status_code == 429
    assert sum(one.status_code == 401 for one in answers) < 20
    assert answers[0].headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("token", ["sécret", "密码", "a b"])
def test_a_token_of_any_letters_is_accepted_as_utf_8(client_with, token):
    client = client_with(Settings(token=token))
    given = f"Bearer {token}".encode().decode("latin-1")
    assert client.get("/api/models", headers={"Authorization": given}).status_code == 200
    assert client.get("/api/models", headers={"Authorization": given + "x"}).status_code == 401


def test_a_browser_may_send_a_token_as_latin_1(client_with):
    client = client_with(Settings(token="sécret"))
    assert client.get("/api/models", headers={"Authorization": "Bearer sécret"}).status_code == 200


@pytest.mark.parametrize("token", ["", " ", "\n"])
def test_an_empty_token_is_refused_at_the_start(token):
    with pytest.raises(ValueError, match="token is empty"):
        Settings(token=token)


def test_preflights_need_no_token_and_origins_are_closed_by_default(client_with):
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    closed = client_with(Settings(token="secret")).options("/api/parse", headers=asked)
    assert closed.status_code == 403 and not any("Access-Control" in name for name, _ in closed.headers)
    opened = client_with(Settings(token="secret", origins=("https://example.org",)))
    answer = opened.options("/api/parse", headers=asked)
    assert answer.status_code == 200 and answer.headers["Access-Control-Allow-Origin"] == "https://example.org"
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    posted = opened.post(
        "/api/parse", data=SMALL, headers={"Origin": "https://example.org", "Authorization": "Bearer secret"}
    )
    assert posted.status_code == 200 and posted.headers["Access-Control-Allow-Origin"] == "https://example.org"
    assert opened.options("/api/parse", headers=asked | {"Origin": "https://evil.example"}).status_code == 403
    assert opened.options("/api/parse").status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
def test_pages_of_other_sites_cannot_post(client, origin):
    for body in ({"data": {"photo": (io.BytesIO(SMALL), "a.png")}}, {"data": SMALL}):
        refused = client.post("/api/parse", headers={"Origin": origin}, **body)
        assert (refused.status_code, code(refused)) == (403, "foreign_origin")
    assert client.post("/api/parse", data=SMALL, headers={"Origin": "http://localhost"}).status_code == 200


def test_foreign_host_names_are_refused(client_with):
    client = client_with(Settings(names=("Parser.example.org",)))
    for host in ("localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "192.168.1.5", "parser.example.org"):
        assert client.get("/api/models", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "parser.example.org.evil.example", "127.0.0.1.evil.example:8000"):
        refused = client.get("/api/models", headers={"Host": host})
        assert (refused.status_code, code(refused)) == (421, "unknown_host")
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-anything", "video/mp4"])
def test_other_content_types_are_refused(client, kind):
    refused = client.post("/api/parse", data=SMALL, content_type=kind)
    assert (refused.status_code, code(refused)) == (415, "content_type")


@pytest.mark.parametrize("kind", ["image/jpeg", "image/gif", "application/octet-stream", None])
def test_documented_content_types_are_taken(client, kind):
    assert client.post("/api/parse", data=SMALL, content_type=kind).status_code == 200


def test_photos_are_charged_by_megapixels(client_with):
    client = client_with(Settings(requests_per_minute=60))  # a burst of 10
    large = encoded(Image.new("1", (3000, 4000)))
    assert client.post("/api/parse", data=large).status_code == 200
    refused = client.post("/api/parse", data=SMALL)
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) in range(2, 5)


def test_a_bucket_may_owe_tokens():
    limit = RateLimit(60)
    assert limit.take("a", 0) == 0
    limit.charge("a", 19, 0)
    assert limit.take("a", 0) == 11 and limit.take("b", 0) == 0
    assert limit.take("a", 12) == 0


def test_a_long_text_in_a_form_learns_its_own_limit(client):
    text = base64.b64encode(b"x" * 1_000_000).decode()
    refused = client.post("/api/parse", data={"note": text, "photo": (io.BytesIO(SMALL), "a.png")})
    assert refused.status_code == 413 and "500 kB of text" in refused.json["error"]["message"]


def test_a_wrong_method_learns_the_right_ones(client):
    refused = client.get("/api/parse")
    assert refused.status_code == 405 and set(refused.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
