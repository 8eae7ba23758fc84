"""The server's bounds hold under attack: memory, deadlines, and health within a second."""

import gzip
import io
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image

from tests.hostile import images
from tests.runtime.conftest import artefact  # noqa: F401  a fixture
from tests.serve.attacks import Attacked, answer_of, attacked, connections, cpu_seconds, drip, head, read
from tests.serve.conftest import encoded

WAITING, UPLOAD = 250, 70
"""Budgets in megabytes."""

LIMITS = ("--megabytes=4", f"--waiting-megabytes={WAITING}", f"--upload-megabytes={UPLOAD}", "--requests-per-minute=0")
MARGIN = 60
"""Megabytes of the process that do not belong to a request: its threads, and what the allocator keeps."""

MULTIPART = "multipart/form-data; boundary=B"
NOISE = encoded(np.tile(np.random.default_rng(0).integers(0, 256, (16, 64, 3), np.uint8), (40, 20, 1)))
"""A small file whose mosaic is large."""

SOON = 3.0
"""Seconds of an answer that does not wait for the attackers, who keep their places for the server's deadline."""

SMALL = encoded(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))


@pytest.fixture
def server(artefact):  # noqa: F811
    with attacked(artefact(), *LIMITS, "--deadline=4") as found:
        assert found.post(SMALL)[0] == 200
        yield found


def bounded(server: Attacked):
    """Limit the server's memory to its budgets; return a function that checks the peak afterwards."""
    before = server.limit_memory(WAITING + UPLOAD + 2 * MARGIN)

    def check() -> None:
        used = (server.resident("VmHWM") - before) / 1e6
        assert used < WAITING + UPLOAD + MARGIN, f"{used:.0f} MB beyond the models"
        assert server.process.poll() is None and not any("Traceback" in line for line in server.log)

    return check


def health_during(server: Attacked, act) -> None:
    """Do something in another thread; /healthz answers soon all the while."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(act)
        while not done.done():
            assert server.slowest_health(0.2) < SOON
        done.result()


def test_uploads_that_stop_before_their_end_stay_within_the_budget(server):
    check = bounded(server)
    body = b"x" * 3_900_000
    with connections(server.port, 40, head(4_000_000) + body) as opened:
        held = float(re.search(rb"^m2fp_kd_held_bytes (\S+)", server.get("/metrics")[1], re.M)[1])
        assert 4e6 < held <= 1e6 * (UPLOAD - 12 * 4)
        health_during(server, lambda: drip(opened, 1))
        assert server.post(SMALL)[0] == 200, "an honest upload takes the place of the oldest"
        answers = [answer_of(one) for one in opened]
        busy = [one for one in answers if one.startswith(b"HTTP/1.1 503")]
        late = [one for one in answers if one.startswith(b"HTTP/1.1 408")]
    assert len(busy) > 20 and late and len(busy) + len(late) == 40
    assert all(b'"busy"' in one for one in busy) and all(b'"too_slow"' in one for one in late)
    check()


def test_headers_that_never_end_keep_nobody_out(server):
    with connections(server.port, 450, b"GET /healthz HTTP/1.1\r\nX: ") as opened:
        health_during(server, lambda: drip(opened, 2))
        assert server.post(SMALL)[0] == 200


def test_a_header_and_a_body_have_a_deadline(server):
    start = time.monotonic()
    with (
        connections(server.port, 1, b"GET /healthz HTTP/1.1\r\nX: ") as (header,),
        connections(server.port, 1, head(1000)) as (body,),
        ThreadPoolExecutor(1) as pool,
    ):
        dripping = pool.submit(drip, [header, body], 5)
        for one in (header, body):
            text = answer_of(one)
            assert 3.5 < time.monotonic() - start < 7
            assert text.startswith(b"HTTP/1.1 408")
            assert json.loads(text.split(b"\r\n\r\n")[1])["error"]["code"] == "too_slow"
        dripping.result()


def test_hundreds_of_requests_at_once_are_answered_or_refused_at_once(server):
    check = bounded(server)
    photo = encoded(Image.linear_gradient("L").resize((2000, 1500)).convert("RGB"))
    request = head(len(photo), "Connection: close\r\n").replace(b"/api/parse", b"/api/parse?return=all") + photo
    with connections(server.port, 256, request) as opened:
        assert server.slowest_health(2) < SOON
        statuses = [int(answer_of(one).split()[1]) for one in opened]
    assert set(statuses) <= {200, 503} and 200 in statuses
    check()


def test_answers_that_nobody_takes_stay_within_the_budget(server):
    check = bounded(server)
    photo = encoded(Image.linear_gradient("L").resize((2000, 1500)).convert("RGB"))
    request = head(len(photo)).replace(b"/api/parse", b"/api/parse?return=all") + photo
    with connections(server.port, 100, request) as opened:
        assert server.slowest_health(3) < SOON
        assert len(opened) == 100
    check()


def test_answers_of_which_all_but_a_little_is_taken_stay_within_the_budget(server):
    check = bounded(server)
    request = head(len(NOISE)).replace(b"/api/parse", b"/api/parse?return=all") + NOISE
    with connections(server.port, 100, request, answers=4096) as opened, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: read(one, 800_000), opened))
        held = float(re.search(rb"^m2fp_kd_held_bytes (\S+)", server.get("/metrics")[1], re.M)[1])
        assert held <= 1e6 * (UPLOAD - 12 * 4)
    check()


def test_answers_that_are_taken_are_freed_though_their_connections_stay_open(artefact):  # noqa: F811
    request = head(len(NOISE)).replace(b"/api/parse", b"/api/parse?return=all") + NOISE
    with attacked(artefact(), *LIMITS) as server, ExitStack() as opened:
        for number in range(25):
            if number == 5:  # the first requests warm up
                before = server.resident()
            (one,) = opened.enter_context(connections(server.port, 1, request))
            one.settimeout(60)
            begin = one.recv(65536)
            assert begin.startswith(b"HTTP/1.1 200")
            length = int(re.search(rb"Content-Length: (\d+)", begin)[1])
            read(one, length - len(begin))
        assert length > 1_000_000 and server.resident() - before < 20 * length


def test_small_chunks_are_refused_before_they_take_time(server):
    check = bounded(server)
    chunked = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    start = cpu_seconds(server.process.pid)
    with connections(server.port, 100, chunked + b"1\r\nx\r\n" * 20_000) as opened:
        assert all(b"400" in one[:12] for one in map(answer_of, opened) if one)
    assert cpu_seconds(server.process.pid) - start < 3
    whole = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMALL), SMALL)
    with connections(server.port, 1, chunked.replace(b"Host", b"Connection: close\r\nHost") + whole) as (one,):
        assert answer_of(one).startswith(b"HTTP/1.1 200")
    check()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 10_000, MULTIPART, 413),
        (b"--B\r\nX: " + b"x" * 3_000_000, MULTIPART, 413),
        (gzip.compress(b"\0" * 400_000_000), "image/png", 422),
        (encoded(Image.new("RGB", (40, 30)), "TIFF"), "image/tiff", 415),
        (encoded(Image.new("RGB", (40, 30)), "TIFF"), "application/octet-stream", 422),
        (encoded(Image.new("RGB", (40, 30)), "JPEG2000"), "", 422),
        (images.animated("GIF", 200, (400, 300)), "image/gif", 200),
        (images.animated("WEBP", 200, (400, 300)), "image/webp", 200),
        (images.interlaced(2000, 1500), "image/png", 200),
        (images.flat_png(2000, 1500, 16, 2), "image/png", 200),
        (images.long_text(b"zTXt", 200_000_000), "image/png", 200),
        (images.large_profile("JPEG"), "image/jpeg", 200),
        (images.scans(2000, 3000), "image/jpeg", 422),
        (images.comments(1_900_000), "image/gif", 422),
        (images.segments(900_000), "image/jpeg", 422),
    ],
    ids=[
        "10,000 parts",
        "a part's header",
        "gzip",
        "TIFF",
        "TIFF, unnamed",
        "JPEG 2000",
        "GIF of 200 frames",
        "WebP of 200 frames",
        "interlaced",
        "16 bits",
        "a text of 200 MB",
        "a profile of 2 MB",
        "scans",
        "comments",
        "segments",
    ],
)
def test_costly_bodies_are_answered_soon_and_within_the_memory(server, body, kind, status):
    check = bounded(server)
    start = cpu_seconds(server.process.pid)
    assert server.post(body, **{"Content-Type": kind, "Content-Encoding": "gzip"})[0] == status
    assert cpu_seconds(server.process.pid) - start < 3
    check()


@pytest.mark.parametrize(
    "body",
    [b"[" * 1000, b"[" + b"[]," * 1_000_000 + b"[]]", b'{"photo":"' + "\N{GRINNING FACE}".encode() * 900_000 + b'"}'],
    ids=["deep", "wide", "not ASCII"],
)
def test_json_that_is_no_photo_is_refused_in_milliseconds(server, body):
    check = bounded(server)
    start = time.monotonic()
    status, answer = server.post(body, **{"Content-Type": "application/json"})
    assert (status, answer["error"]["code"]) == (400, "bad_request") and time.monotonic() - start < 0.5
    check()


def test_chunks_and_pipelines_that_never_end_are_dropped(server):
    check = bounded(server)
    chunked = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with connections(server.port, 8, chunked + b"1" * 100_000) as opened:
        assert all(answer_of(one).startswith(b"HTTP/1.1 400") for one in opened)
    with connections(server.port, 8, b"GET /healthz HTTP/1.1\r\n\r\n" * 1000) as opened:
        assert all(answer_of(one).count(b'"status"') <= 4 for one in opened)
    check()


def test_a_photo_of_one_column_is_refused_before_it_is_decoded(server):
    check = bounded(server)
    photo = images.flat_png(1, 49_000_000)
    assert len(photo) < 200_000 and Image.open(io.BytesIO(photo)).size == (1, 49_000_000)
    start = time.monotonic()
    status, answer = server.post(photo)
    assert (status, answer["error"]["code"]) == (413, "too_many_pixels") and time.monotonic() - start < 1
    check()


def test_a_wrong_token_is_refused_at_the_header(artefact):  # noqa: F811
    with attacked(artefact(), *LIMITS, "--token=sécret") as server:
        check = bounded(server)
        with connections(server.port, 40, head(4_000_000) + b"x" * 1_000_000) as opened:
            texts = [answer_of(one) for one in opened]
        assert all(text.startswith(b"HTTP/1.1 401") and b"www-authenticate: bearer" in text.lower() for text in texts)
        with connections(server.port, 1, head(4_000_000, "Expect: 100-continue\r\n")) as (one,):
            assert answer_of(one).startswith(b"HTTP/1.1 401"), "without 100 Continue"
        token = "Bearer sécret".encode().decode("latin-1")
        assert server.post(SMALL, Authorization=token)[0] == 200
        check()
