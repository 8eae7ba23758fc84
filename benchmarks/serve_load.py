"""The service under load, beside a naive one: throughput, waiting times, CPU time and memory.

    python benchmarks/serve_load.py ARTEFACT --clients 1 4 16 64 --seconds 10
    python benchmarks/serve_load.py ARTEFACT --requests 5000      memory over so many requests, 4 clients

The naive server is Flask's own threaded one with one lock around the network: the same artefact, engine and threads.
Clients run on the same machine, over the loopback device only, and take part of its CPU time. Prints Markdown.
"""

import argparse
import http.client
import io
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.evaluation.measure import memory_mb

PHOTOS = 8
SIZE = 512


@dataclass(frozen=True)
class Load:
    """What clients saw, and what the server spent."""

    seconds: float
    waits_ms: list[float]
    refused: int
    cpu_seconds: float

    @property
    def row(self) -> str:
        """As cells of a table."""
        done = len(self.waits_ms)
        p50, p95, p99 = np.percentile(self.waits_ms, [50, 95, 99])
        cpu = 1000 * self.cpu_seconds / done
        return f"{done / self.seconds:.1f} | {p50:.0f} | {p95:.0f} | {p99:.0f} | {cpu:.1f} | {self.refused}"


def photos() -> list[bytes]:
    """JPEG files of scenes."""
    files = []
    for seed in range(PHOTOS):
        buffer = io.BytesIO()
        Image.fromarray(draw_scene(seed, SIZE, (1, 3)).image).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


@contextmanager
def running(command: list[str]) -> Iterator[tuple[int, int]]:
    """A server's process id and port."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            break
    else:
        raise SystemExit(f"{' '.join(command)} did not start")
    try:
        yield process.pid, int(found[1])
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has spent."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def ask(port: int, data: list[bytes], until: float, most: int) -> tuple[list[float], int]:
    """One client: asks again as soon as it is answered. Returns its waits in ms and how often it was turned away."""
    connection, waits, refused = http.client.HTTPConnection("127.0.0.1", port, timeout=60), [], 0
    while time.perf_counter() < until and len(waits) < most:
        start = time.perf_counter()
        connection.request("POST", "/api/parse", data[len(waits) % len(data)], {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 503:
            refused += 1
            time.sleep(float(answer.headers["Retry-After"]))
            continue
        assert answer.status == 200, answer.status
        waits.append(1000 * (time.perf_counter() - start))
    return waits, refused


def load(pid: int, port: int, clients: int, seconds: float, most: int = 10**9) -> Load:
    """Let so many clients ask at the same time."""
    data = photos()
    before, start = cpu_seconds(pid), time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(lambda _: ask(port, data, start + seconds, most), range(clients)))
    elapsed = time.perf_counter() - start
    waits = [wait for one, _ in answers for wait in one]
    return Load(elapsed, waits, sum(refused for _, refused in answers), cpu_seconds(pid) - before)


def naive(artefact: Path, threads: int) -> None:
    """Serve as everybody does it first."""
    from flask import Flask, Response, jsonify, request
    from werkzeug.serving import make_server

    from m2fp_kd.runtime.parser import Parser
    from m2fp_kd.serve.answers import answer

    app, parser, lock = Flask("naive"), Parser.load(artefact, threads=threads), threading.Lock()

    @app.post("/api/parse")
    def parse() -> Response:
        photo = np.asarray(Image.open(io.BytesIO(request.get_data())).convert("RGB"))
        with lock:
            parsing = parser(photo)
        return jsonify(answer("naive", photo, parsing, parsing.timings, {"map"}))

    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"http://127.0.0.1:{server.port}", file=sys.stderr, flush=True)
    server.serve_forever()


def main() -> None:
    command = argparse.ArgumentParser(description="The service under load, beside a naive one; prints Markdown.")
    command.add_argument("artefact", type=Path)
    command.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    command.add_argument("--seconds", type=float, default=10, help="of load for each number of clients")
    command.add_argument("--threads", type=int, default=2, help="CPU threads of the naive server; ours: streams")
    command.add_argument("--requests", type=int, help="only watch the memory over so many requests")
    command.add_argument("--naive", action="store_true", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.naive:
        return naive(options.artefact, options.threads)
    ours = [sys.executable, "-m", "m2fp_kd.cli", "serve", f"--artefact={options.artefact}", "--port=0"]
    ours += ["--requests-per-minute=0", f"--streams={options.threads}"]
    if options.requests:
        with running(ours) as (pid, port):
            for done in range(0, options.requests + 1, options.requests // 10):
                print(f"{done} requests: {memory_mb('VmRSS', pid):.0f} MB", flush=True)
                if done < options.requests:
                    load(pid, port, 4, 1e9, options.requests // 40)
        return None
    other = [sys.executable, __file__, str(options.artefact), f"--threads={options.threads}", "--naive"]
    print("| server | clients | photos/s | p50 ms | p95 ms | p99 ms | CPU ms a photo | turned away |")
    print("|---|---|---|---|---|---|---|---|")
    for clients in options.clients:
        for name, server in (("m2fp-kd serve", ours), ("naive", other)):
            with running(server) as (pid, port):
                load(pid, port, clients, 1)
                print(f"| {name} | {clients} | {load(pid, port, clients, options.seconds).row} |", flush=True)
    return None


if __name__ == "__main__":
    main()
