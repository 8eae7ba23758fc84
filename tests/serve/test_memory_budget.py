"""Decoded bytes are bounded: who finds no room is turned away before his photo is decoded."""

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
from m2fp_kd.serve.memory_budget import Room
from m2fp_kd.serve.photos import needed_bytes
from m2fp_kd.serve.worker import Worker
from tests.serve.conftest import UNLIMITED, encoded
from tests.serve.made_up_models import Gate, made_up
from tests.serve.test_worker import until

SIDE = 100
PHOTO = encoded(np.zeros((SIDE, SIDE, 3), np.uint8))
BYTES = needed_bytes(PHOTO, UNLIMITED)
LARGE = encoded(np.zeros((2 * SIDE, 2 * SIDE, 3), np.uint8))


def test_room_is_given_back():
    room = Room(10)
    room.take(6)
    with pytest.raises(Full):
        room.take(5)
    room.take(4)
    assert room.full
    room.leave(6)
    assert room.taken == 4
    room.take(5)


def test_who_needs_more_than_all_is_let_in_alone():
    room = Room(10)
    room.take(1)
    with pytest.raises(Full):
        room.take(11)
    room.leave(1)
    room.take(11)
    assert room.full
    with pytest.raises(Full):
        room.take(1)
    room.take(0)


class Service:
    """A service with room for two photos."""

    def __init__(self, app: Flask, worker: Worker, gate: Gate, pool: ThreadPoolExecutor) -> None:
        self.app, self.worker, self.gate, self.pool = app, worker, gate, pool

    def post(self, data: bytes) -> TestResponse:
        return self.app.test_client().post("/api/parse", data=data)

    def post_several(self, *photos: bytes) -> TestResponse:
        texts = [base64.b64encode(data).decode() for data in photos]
        return self.app.test_client().post("/api/parse/batch", json={"photos": texts})

    def busy_with(self, data: bytes) -> Future[TestResponse]:
        """Send a photo and wait until the network has it; it keeps it until the gate is opened."""
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
    assert worker.waiting_bytes == 0


def test_who_finds_no_room_is_turned_away_before_decoding(service, monkeypatch):
    taken = [service.busy_with(PHOTO), service.queued(PHOTO)]
    assert service.worker.waiting_bytes == 2 * BYTES and not service.worker.ready
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
        for refused in (service.post(PHOTO), service.post(LARGE), service.post_several(PHOTO, PHOTO)):
            assert (refused.status_code, refused.json["error"]["code"]) == (503, "busy")
            assert int(refused.headers["Retry-After"]) >= 1
    service.gate.open()
    assert [one.result(10).status_code for one in taken] == [200] * 2
    assert service.worker.ready and service.post(PHOTO).status_code == 200


def test_photo_larger_than_all_the_room_is_taken_alone(service):
    large = service.busy_with(LARGE)
    assert service.post(PHOTO).status_code == 503
    assert service.post_several(b"broken").json["results"][0]["error"]["code"] == "photo_broken", "it needs no room"
    service.gate.open()
    assert large.result(10).status_code == 200
    assert "error" not in service.post_several(LARGE).json["results"][0]


def test_batch_larger_than_all_the_room_is_to_be_sent_in_parts(service, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
        refused = service.post_several(PHOTO, b"broken", PHOTO, PHOTO)
    assert refused.status_code == 413 and "Retry-After" not in refused.headers
    needed, most = (f"{count * BYTES / 1e6:.1f}" for count in (3, 2))
    message = f"These photos need {needed} MB of memory; there is room for {most} MB. Send fewer at a time."
    assert refused.json["error"] == {"code": "batch_too_large", "message": message}
    results = service.post_several(PHOTO, b"broken", PHOTO).json["results"]
    assert [one.get("error", {}).get("code") for one in results] == [None, "photo_broken", None]


def test_batch_keeps_its_room_until_its_answers_are_made(service, monkeypatch):
    taken = []

    def watched(*arguments):
        taken.append(service.worker.waiting_bytes)
        return answer(*arguments)

    monkeypatch.setattr(parse, "answer", watched)
    assert service.post_several(PHOTO, PHOTO).status_code == 200
    assert taken == [2 * BYTES] * 2


def test_what_is_given_up_is_let_go_and_leaves_its_room(service):
    def give_up() -> weakref.ref:
        photo = np.zeros((SIDE, SIDE, 3), np.uint8)
        with pytest.raises(ApiError, match="not parsed within"), service.worker.place([BYTES]):
            service.worker.parse([photo], 0.05)
        return weakref.ref(photo)

    taken = service.busy_with(PHOTO)
    given_up = give_up()
    gc.collect()
    assert given_up() is None and service.worker.waiting_bytes == BYTES
    assert service.worker.waiting == 1, "its turn has not come"
    service.gate.open()
    assert taken.result(10).status_code == 200
    assert service.post(PHOTO).status_code == 200
