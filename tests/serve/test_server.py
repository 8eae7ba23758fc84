"""The real server in a process of its own: it starts, answers, waits for slow clients and stops cleanly."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

from m2fp_kd.runtime.parser import Parser
from tests.runtime.conftest import artefact  # noqa: F401  a fixture
from tests.serve.conftest import encoded

PHOTO = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def server(request, artefact):  # noqa: F811
    """A server's address and its artefact."""
    folder = artefact()
    command = [
        sys.executable,
        "-m",
        "m2fp_kd",
        "serve",
        f"--artefact={folder}",
        "--port=0",
        "--engine=onnxruntime",
    ]
    process = subprocess.Popen([*command, "--megabytes=1"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    printed = ""
    for line in process.stderr:
        printed += line
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/ is ready", line):
            yield int(found[1]), folder
            process.send_signal(request.param)
            try:
                assert process.wait(60) == 0
            finally:
                process.kill()
            return
    raise AssertionError(f"the server did not start: {printed}")


def post(port, data, path="/api/parse"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "image/png"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def raw(port, *pieces, pause=0.0):
    """Send bytes piece by piece and return the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(65536):
            answer += data
    return answer


def test_a_server_answers_as_the_runtime_despite_slow_and_broken_clients(server):
    port, folder = server
    expected = {part.name: part.area for part in Parser.load(folder, "onnxruntime")(PHOTO).parts}
    data = encoded(PHOTO)

    def parsed():
        return {part["name"]: part["area"] for part in post(port, data)["parts"]}

    assert parsed() == expected
    head = f"POST /api/parse HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(data)}\r\n"
    head = (head + "Connection: close\r\n\r\n").encode()
    slow = raw(port, head, *[data[start : start + 1000] for start in range(0, len(data), 1000)], pause=0.05)
    assert slow.startswith(b"HTTP/1.1 200") and b'"parts"' in slow
    with socket.create_connection(("127.0.0.1", port), timeout=20) as gone:
        gone.sendall(head + data)  # and disconnect before the answer
    with socket.create_connection(("127.0.0.1", port), timeout=20) as half:
        half.sendall(head + data[:100])
        assert parsed() == expected, "a client that stops halfway does not block others"
    too_large = raw(port, head.replace(str(len(data)).encode(), b"1500000"), b"x" * 1_500_000)
    assert too_large.startswith(b"HTTP/1.1 413") and b"photo_too_large" in too_large
    too_much = head.replace(str(len(data)).encode(), b"90000000")
    long = b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"
    coded = head.replace(b"Content-Length:", b"Transfer-Encoding: gzip\r\nX:")
    for status, code, piece in (
        (400, "bad_request", b"nonsense\r\n\r\n"),
        (413, "photo_too_large", too_much),
        (431, "headers_too_large", long),
        (501, "not_implemented", coded),
        (405, "method_not_allowed", head.replace(b"/api/parse", b"/healthz") + data),
    ):
        header, _, body = raw(port, piece).partition(b"\r\n\r\n")
        assert int(header.split()[1]) == status and b"Content-Type: application/json" in header
        assert json.loads(body)["error"]["code"] == code
        assert (b"Allow: " in header) == (status == 405)
    assert parsed() == expected
