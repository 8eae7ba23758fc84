"""A server in a process of its own under a memory limit, and clients that attack it from this machine."""

import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HEADER = (
    "POST /api/parse HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {size}\r\n{more}\r\n"
)


@dataclass
class Attacked:
    """A running server.

    Attributes:
        port: port of the server.
        process: its process.
        log: lines that it has written.
    """

    port: int
    process: subprocess.Popen
    log: list[str]

    def get(self, path: str) -> tuple[int, bytes, float]:
        """Return status, body and seconds of a GET request."""
        start = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body, time.monotonic() - start

    def post(self, body: bytes, path: str = "/api/parse", **headers: str) -> tuple[int, dict]:
        """Return status and JSON of a POST request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", path, body, {"Content-Type": "image/png"} | headers)
        answer = connection.getresponse()
        result = answer.status, json.loads(answer.read())
        connection.close()
        return result

    def resident(self, what: str = "VmRSS") -> int:
        """Memory in bytes: VmRSS now, VmHWM at the peak, VmData for what a limit counts."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(rf"^{what}:\s+(\d+)", status, re.M)[1])  # type: ignore[index]

    def limit_memory(self, further: float) -> int:
        """Let the process allocate `further` megabytes beyond what it has; return what is resident now."""
        most = self.resident("VmData") + int(1e6 * further)
        resource.prlimit(self.process.pid, resource.RLIMIT_DATA, (most, most))
        return self.resident()

    def slowest_health(self, seconds: float) -> float:
        """Ask for /healthz for a while; return the seconds of the slowest answer."""
        end, slowest = time.monotonic() + seconds, 0.0
        while time.monotonic() < end:
            status, _, took = self.get("/healthz")
            assert status == 200
            slowest = max(slowest, took)
            time.sleep(0.05)
        return slowest


@contextmanager
def attacked(folder: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Attacked]:
    """Start a server of an artefact on a free port; stop it at the end."""
    command = [sys.executable, "-m", "m2fp_kd", "serve", f"--artefact={folder}", "--port=0", "--engine=onnxruntime"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    log: list[str] = []
    found = None
    for line in process.stderr:
        log.append(line)
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/ is ready", line):
            break
    assert found, f"the server did not start: {log}"
    reader = threading.Thread(target=lambda: log.extend(process.stderr), daemon=True)  # type: ignore[arg-type]
    reader.start()
    try:
        yield Attacked(int(found[1]), process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
            reader.join()


@contextmanager
def connections(port: int, count: int, first: bytes, answers: int | None = None) -> Iterator[list[socket.socket]]:
    """Open connections to this machine and send the same first bytes on each, as far as the server takes them.

    Args:
        port: port of the server.
        count: number of connections.
        first: bytes to send.
        answers: bytes of an answer that the system keeps for the client; None for the system's default.
    """
    with ExitStack() as opened:
        found = []
        for _ in range(count):
            one = opened.enter_context(socket.socket())
            if answers is not None:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, answers)
            one.settimeout(20)
            one.connect(("127.0.0.1", port))
            one.settimeout(0.5)
            send(one, first)
            found.append(one)
        yield found


def send(one: socket.socket, data: bytes) -> None:
    """Send bytes; give up where the server takes no more."""
    with suppress(OSError):
        one.sendall(data)


def read(one: socket.socket, size: int) -> None:
    """Take a number of bytes of an answer, or as many as the server sends."""
    with suppress(OSError):
        while size > 0 and (piece := one.recv(min(size, 65536))):
            size -= len(piece)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drip(opened: Sequence[socket.socket], seconds: float) -> None:
    """Send a byte on every connection every tenth of a second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for one in opened:
            send(one, b"x")
        time.sleep(0.1)


def answer_of(one: socket.socket, seconds: float = 20) -> bytes:
    """Return what the server has sent on a connection until it ended it."""
    one.settimeout(seconds)
    data = b""
    with suppress(ConnectionResetError):
        while piece := one.recv(65536):
            data += piece
    return data


def head(size: int, more: str = "") -> bytes:
    """Return the header of a request with a body of `size` bytes."""
    return HEADER.format(size=size, more=more).encode()
