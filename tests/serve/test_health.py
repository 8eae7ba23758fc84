"""/healthz answers soon while 256 connections attack the server in every way at once."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from PIL import Image

from tests.hostile import images
from tests.runtime.conftest import artefact  # noqa: F401  a fixture
from tests.serve.attacks import HEADER, attacked, head
from tests.serve.conftest import encoded
from tests.serve.probes import idle_server, probing
from tests.serve.test_attacks import LIMITS, MULTIPART, NOISE, SOON, bounded

SECONDS = 6


def post(body: bytes, kind: str = "image/png") -> bytes:
    header = HEADER.format(size=len(body), more="").replace("image/png", kind)
    return header.replace("/api/parse", "/api/parse?return=all").encode() + body


def page(*lines: str) -> bytes:
    return b"".join(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for line in lines)


CHUNKED = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
PHOTO = Image.linear_gradient("L").resize((2000, 1500)).convert("RGB")

SENT_AGAIN = {
    "photos": (16, post(encoded(PHOTO, "JPEG"), "image/jpeg")),
    "photos in WebP": (16, post(encoded(PHOTO, "WEBP", method=0), "image/webp")),
    "flat photos": (8, post(images.flat_png(4000, 3000, 8, 2))),
    "one column": (8, post(images.flat_png(1, 20_000_000))),
    "lists": (8, post(b"[" + b"[]," * 1_000_000 + b"[]]", "application/json")),
    "lists in lists": (8, post(b"[" * 1000, "application/json")),
    "chunks": (16, CHUNKED + b"1\r\nx\r\n" * 20_000),
    "forms": (8, post(b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n" * 10_000, MULTIPART)),
    "segments": (8, post(images.segments(900_000), "image/jpeg")),
    "comments": (8, post(images.comments(1_900_000), "image/gif")),
    "scans": (8, post(images.scans(2000, 3000), "image/jpeg")),
    "nothing": (32, post(b"x")),
    "pages": (16, page("GET /metrics", "GET /openapi.json", "HEAD /", "OPTIONS /api/parse")),
}
"""Name -> number of clients that send these bytes, wait for an answer, and begin again."""

DRIPPED = {
    "headers": (32, b"GET /healthz HTTP/1.1\r\nX: "),
    "bodies": (32, head(3_900_000) + b"x" * 1_000_000),
    "answers not taken": (32, post(NOISE)),
}
"""Name -> number of clients that send these bytes, then one byte every tenth of a second, and take no answer."""


def send_again(port: int, data: bytes, ended: threading.Event) -> None:
    while not ended.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            one.sendall(data)
            one.recv(65536)


def drip(port: int, data: bytes, ended: threading.Event) -> None:
    while not ended.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            one.sendall(data)
            while not ended.wait(0.1):
                one.sendall(b"x")


@contextmanager
def storm(port: int) -> Iterator[threading.Event]:
    """Attack in all ways at once until the context ends; the event that is yielded ends it."""
    ended = threading.Event()
    kinds: list[tuple[Callable, tuple[int, bytes]]] = [(send_again, one) for one in SENT_AGAIN.values()]
    kinds += [(drip, one) for one in DRIPPED.values()]
    threads = [
        threading.Thread(target=act, args=(port, data, ended)) for act, (count, data) in kinds for _ in range(count)
    ]
    assert len(threads) == 256
    for thread in threads:
        thread.start()
    try:
        yield ended
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def server(artefact):  # noqa: F811
    with attacked(artefact(), *LIMITS) as found:
        found.post(NOISE)
        yield found


def test_health_is_answered_soon_and_memory_stays_within_the_budget(server, tmp_path):
    check = bounded(server)
    with idle_server(tmp_path) as idle, probing(f"http://127.0.0.1:{server.port}/healthz", idle) as worst:
        with storm(server.port) as ended:
            ended.wait(SECONDS)
        ours, of_idle = worst()
    # The idle server tells how long this machine, which other programs use too, keeps any process waiting.
    assert ours < SOON + 10 * of_idle, f"{ours:.2f} s, an idle server {of_idle:.2f} s"
    print(f"/healthz {ours:.3f} s at worst, an idle server {of_idle:.3f} s")
    check()
