"""The deadline covers every step of a request, from its first byte to its answer."""

import io
import time

import numpy as np
import pytest

from m2fp_kd.serve import parse
from m2fp_kd.serve.app import create_app
from m2fp_kd.serve.deadline import Deadline, Turns
from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.settings import Settings
from tests.serve.conftest import encoded
from tests.serve.made_up_models import made_up

SMALL = encoded(np.zeros((30, 40, 3), np.uint8))


@pytest.fixture
def service():
    """Models, and a client of a service with a deadline of a quarter of a second."""
    models, gate = made_up("lite")
    yield create_app(models, Settings(deadline=0.25)).test_client(), gate, models["lite"].worker
    gate.open()
    models["lite"].worker.close()


def late(answer) -> bool:
    return (answer.status_code, answer.json["error"]["code"]) == (503, "deadline") and "Retry-After" in answer.headers


def test_a_network_that_takes_too_long(service):
    client, gate, worker = service
    gate.shut()
    assert late(client.post("/api/parse", data=SMALL))
    assert worker.reserved_bytes == 0


@pytest.mark.parametrize("step", ["decode", "answer", "photos_of"])
def test_a_step_that_takes_too_long(service, monkeypatch, step):
    client, _, worker = service
    act = getattr(parse, step)

    def slowly(*arguments):
        time.sleep(0.3)
        return act(*arguments)

    monkeypatch.setattr(parse, step, slowly)
    answer = client.post("/api/parse/batch", data={"photo": [(io.BytesIO(SMALL), name) for name in "ab"]})
    assert late(answer) and worker.reserved_bytes == 0


def test_time_before_the_application_counts(service):
    client, _, _ = service
    before = {"m2fp_kd.started": time.monotonic() - 1}
    assert late(client.post("/api/parse", data=SMALL, environ_overrides=before))


def test_a_turn_is_waited_for_until_the_deadline_only():
    turns = Turns(1)
    soon = Deadline(time.monotonic(), 0.05)
    with turns.one(Deadline(time.monotonic(), 10)), pytest.raises(ApiError, match="was not answered"), turns.one(soon):
        pass
    with turns.one(Deadline(time.monotonic(), 10)):
        assert soon.left == 0
