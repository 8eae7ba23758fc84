"""The memory budget bounds decoded bytes: a request beyond it is refused before its photo is decoded."""

import base64
import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Full

import numpy as np
import pytest
from flask import Flask
from PIL import Image
from werkzeug.test import TestResponse

from m2fp_kd.serve import parse
from m2fp_kd.serve.answers import answer
from m2fp_kd.serve.app import create_app
from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.memory_budget import MemoryBudget
from m2fp_kd.serve.photos import size_of
from m2fp_kd.serve.worker import Worker
from tests.serve.conftest import UNLIMITED, encoded
from tests.serve.made_up_models import Gate, made_up
from tests.serve.test_worker import until

SIDE = 100
PHOTO = encoded(np.zeros((SIDE, SIDE, 3), np.uint8))
BYTES = size_of(PHOTO, UNLIMITED).bytes
LARGE = encoded(np.zeros((2 * SIDE, 2 * SIDE, 3), np.uint8))


def test_released_bytes_can_be_reserved_again():
    budget = MemoryBudget(10)
    budget.reserve(6)
    with pytest.raises(Full):
        budget.reserve(5)
    budget.reserve(4)
    assert budget.full
    budget.release(6)
    assert budget.reserved == 4
    budget.reserve(5)


def test_a_request_larger_than_the_budget_is_admitted_alone():
    budget = MemoryBudget(10)
    budget.reserve(1)
    with pytest.raises(Full):
        budget.reserve(11)
    budget.release(1)
    budget.reserve(11)
    assert budget.full
    with pytest.raises(Full):
        budget.reserve(1)
    budget.reserve(0)


class Service:
    """A service with a memory budget of two photos."""

    def __init__(self, app: Flask, worker: Worker, gate: Gate, pool: ThreadPoolExecutor) -> None:
        self.app, self.worker, self.gate, self.pool = app, worker, gate, pool

    def post(self, data: bytes) -> TestResponse:
        return self.app.test_client().post("/api/parse", data=data)

    def post_several(self, *photos: bytes) -> TestResponse:
        texts = [base64.b64encode(data).decode() for data in photos]
        return self.app.test_client().post("/api/parse/batch", json={"photos": texts})

    def busy_with(self, data: bytes) -> Future[TestResponse]:
        """Send a photo and wait until the network has it; the network keeps it until the gate opens."""
        self.gate.shut()
        sent = self.pool.submit(self.post, data)
        assert self.gate.reached.wait(10)
        return sent

    def queued(self, data: bytes) -> Future[TestResponse]:
        """Send a photo and wait until it is in the queue."""
        before = self.worker.waiting
        sent = self.pool.submit(self.post, data)
        until(lambda: self.worker.waiting == before + 1)
        return sent


@pytest.fixture
def service() -> Iterator[Service]:
    models, gate = made_up("lite", megabytes=2 * BYTES / 1e6)
    worker = models["lite"].worker
    with ThreadPoolExecutor() as pool:
        yield Service(create_app(models, UNLIMITED), worker, gate, pool)
        gate.open()
    worker.close()
    assert worker.reserved_bytes == 0


def test_a_request_beyond_the_budget_is_refused_before_decoding(service, monkeypatch):
    taken = [service.busy_with(PHOTO), service.queued(PHOTO)]
    assert service.worker.reserved_bytes == 2 * BYTES and not service.worker.ready
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "load", lambda self: pytest.fail("the photo was decoded"))
        for refused in (service.post(PHOTO), service.post(LARGE), service.post_several(PHOTO, PHOTO)):
            assert (refused.status_code, refused.json["error"]["code"]) == (503, "busy")
            assert int(refused.headers["Retry-After"]) >= 1
    service.gate.open()
    assert [one.result(10).status_code for one in taken] == [200] * 2
    assert service.worker.ready and service.post(PHOTO).status_code == 200


def test_a_photo_larger_than_the_budget_is_parsed_alone(service):
    large = service.busy_with(LARGE)
    assert service.post(PHOTO).status_code == 503
    assert service.post_several(b"broken").json["results"][0]["error"]["code"] == "photo_broken", "it needs no memory"
    service.gate.open()
    assert large.result(10).status_code == 200
    assert "error" not in service.post_several(LARGE).json["results"][0]


def test_a_batch_larger_than_the_budget_is_refused(service, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "load", lambda self: pytest.fail("the photo was decoded"))
        refused = service.post_several(PHOTO, b"broken", PHOTO, PHOTO)
    assert refused.status_code == 413 and "Retry-After" not in refused.headers
    needed, most = (f"{count * BYTES / 1e6:.1f}" for count in (3, 2))
    message = f"These photos need {needed} MB of memory; the server allows {most} MB. Send fewer at a time."
    assert refused.json["error"] == {"code": "batch_too_large", "message": message}
    results = service.post_several(PHOTO, b"broken", PHOTO).json["results"]
    assert [one.get("error", {}).get("code") for one in results] == [None, "photo_broken", None]


def test_a_batch_keeps_its_memory_until_its_answers_are_built(service, monkeypatch):
    taken = []

    def watched(*arguments):
        taken.append(service.worker.reserved_bytes)
        return answer(*arguments)

    monkeypatch.setattr(parse, "answer", watched)
    assert service.post_several(PHOTO, PHOTO).status_code == 200
    assert taken == [2 * BYTES] * 2


def test_a_photo_that_missed_its_deadline_is_freed_and_its_memory_released(service):
    def give_up() -> weakref.ref:
        photo = np.zeros((SIDE, SIDE, 3), np.uint8)
        with pytest.raises(ApiError, match="not parsed within"), service.worker.reserve([BYTES]):
            service.worker.parse([photo], 0.05)
        return weakref.ref(photo)

    taken = service.busy_with(PHOTO)
    given_up = give_up()
    gc.collect()
    assert given_up() is None and service.worker.reserved_bytes == BYTES
    assert service.worker.waiting == 1, "its turn has not come"
    service.gate.open()
    assert taken.result(10).status_code == 200
    assert service.post(PHOTO).status_code == 200
