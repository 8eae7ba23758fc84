"""SIGTERM under load: what was accepted is answered, nothing further is accepted, and the time is bounded."""

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from tests.runtime.conftest import artefact  # noqa: F401  a fixture
from tests.serve.attacks import answer_of, attacked, connections, head
from tests.serve.conftest import encoded

LIMITS = ("--requests-per-minute=0", "--waiting-megabytes=4000", "--grace=20")
SMALL = encoded(np.zeros((30, 40, 3), np.uint8))


def test_requests_in_flight_are_answered(artefact):  # noqa: F811
    photo = encoded(Image.linear_gradient("L").resize((800, 600)).convert("RGB"))
    with attacked(artefact(), *LIMITS, "--streams=1") as server, ThreadPoolExecutor(24) as pool:
        sent = [pool.submit(server.post, photo, "/api/parse?return=all") for _ in range(24)]
        with connections(server.port, 1, head(len(photo)) + photo[:1000]) as (half,):
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", server.port), timeout=5)
            half.sendall(photo[1000:])
            assert answer_of(half).startswith(b"HTTP/1.1 200"), "a body that was still arriving"
        assert [one.result(30)[0] for one in sent] == [200] * 24
        assert server.process.wait(20) == 0


def test_connections_that_the_kernel_has_accepted_are_answered(artefact):  # noqa: F811
    with attacked(artefact(), *LIMITS) as server:
        server.process.send_signal(signal.SIGSTOP)
        request = head(len(SMALL)) + SMALL
        with connections(server.port, 8, request) as opened:
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGCONT)
            assert [answer_of(one)[:12] for one in opened] == [b"HTTP/1.1 200"] * 8
        assert server.process.wait(20) == 0


def test_a_request_that_never_ends_delays_the_end_for_the_time_of_grace_only(artefact):  # noqa: F811
    with attacked(artefact(), "--grace=1") as server, connections(server.port, 1, head(1000)):
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0 and 0.9 < time.monotonic() - start < 5


def test_an_idle_connection_does_not_delay_the_end_and_the_server_says_that_it_is_not_ready(artefact):  # noqa: F811
    with attacked(artefact(), "--grace=15") as server:
        with connections(server.port, 1, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n") as (one,):
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with suppress(OSError):
                one.sendall(b"\r\n")
            assert answer_of(one).startswith(b"HTTP/1.1 503")
        start = time.monotonic()
        assert server.process.wait(10) == 0 and time.monotonic() - start < 4
