"""One line a request, as text or JSON, without its photo, its query or its token."""

import io
import json
import logging

import numpy as np
import pytest

from m2fp_kd.serve.access_log import JsonFormatter
from m2fp_kd.serve.settings import Settings
from tests.serve.conftest import encoded

SMALL = encoded(np.zeros((30, 40, 3), np.uint8))


@pytest.fixture
def lines(caplog):
    """A function that returns the log lines so far, formatted as JSON."""
    caplog.set_level(logging.INFO)
    formatter = JsonFormatter()
    return lambda: [json.loads(formatter.format(record)) for record in caplog.records]


def test_every_request_has_one_line(client_with, lines):
    client = client_with(Settings(token="secret"))
    bearer = {"Authorization": "Bearer secret"}
    client.post("/api/parse?mode=lite&x=query", data=SMALL, headers=bearer)
    client.post("/api/parse", data={"photo": (io.BytesIO(b"broken"), "holiday.png")}, headers=bearer)
    client.get("/api/parse?token=secret")
    found = lines()
    assert [(line["method"], line["path"], line["status"], line["error"]) for line in found] == [
        ("POST", "/api/parse", 200, None),
        ("POST", "/api/parse", 422, "photo_broken"),
        ("GET", "/api/parse", 401, "unauthorized"),
    ]
    assert found[0]["received"] == len(SMALL) and found[0]["sent"] > 100 and found[0]["ms"] > 0
    assert found[0]["client"] == "127.0.0.1" and found[0]["time"].endswith("Z")
    assert not {"secret", "holiday", "query"} & set(str(found).replace("'", " ").replace("=", " ").split())


def test_a_path_cannot_forge_a_line(client, caplog):
    caplog.set_level(logging.INFO)
    client.get("/a%0astatus=200 method=x%1b[2J" + "y" * 1000)
    (record,) = caplog.records
    assert record.getMessage().isprintable() and len(record.getMessage()) < 400
    assert record.getMessage().count("status=") == 1


def test_other_messages_and_tracebacks_are_json_too():
    try:
        raise RuntimeError("broken\nbadly")
    except RuntimeError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("a", logging.ERROR, "a.py", 1, "it %s", ("failed",), info)
    line = JsonFormatter().format(record)
    assert "\n" not in line and json.loads(line)["message"] == "it failed"
    assert "RuntimeError: broken" in json.loads(line)["traceback"]
