"""Compare the service under load with a naive server and with ModelScope's pipeline.

    python benchmarks/serve_load.py ARTEFACT --clients 1 4 16 64 --seconds 10
    python benchmarks/serve_load.py ARTEFACT --reference "PYTHON benchmarks/modelscope_m2fp.py"    adds a row
    python benchmarks/serve_load.py ARTEFACT --memory 5000      memory over 5000 requests with different photos

The naive server is Flask's threaded server with a lock around the parser; it uses the same artefact, engine, cores,
photos and responses. Our server runs as many single-threaded streams as the naive one's network has threads, unless
--serve changes that. The clients run on the same machine over the loopback device and share its cores with the server,
so the table shows their CPU time too. A server's maximum throughput is the number of cores divided by its CPU seconds
per photo; the last column is its throughput as a share of that. ModelScope's pipeline is measured without a server, on
decoded photos one after the other. The output is a Markdown table of throughput, latency and CPU time, or of memory.
"""

import argparse
import http.client
import io
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.evaluation.speed.measure import measure_command
from m2fp_kd.evaluation.speed.memory import memory_mb

PHOTOS = 8
SIZE = 512

MEMORY_PHOTOS = 48
MEMORY_SIDES = (64, 320)
MEMORY_CLIENTS = 8
MEMORY_STEPS = 10

COLUMNS = ("server", "clients", "photos/s", "p50 ms", "p95 ms", "p99 ms", "not 200")
COLUMNS += ("CPU ms per photo", "clients' CPU ms per photo", "% of maximum")


@dataclass(frozen=True)
class Load:
    """Latencies that the clients saw, and CPU time of server and clients."""

    seconds: float
    latencies_ms: list[float]
    refused: int
    cpu_seconds: float
    clients_cpu_seconds: float

    @property
    def row(self) -> str:
        """Cells of the table."""
        done = len(self.latencies_ms)
        p50, p95, p99 = np.percentile(self.latencies_ms, [50, 95, 99])
        server, clients = (1000 * spent / done for spent in (self.cpu_seconds, self.clients_cpu_seconds))
        maximum = len(os.sched_getaffinity(0)) / (self.cpu_seconds / done)
        rate = done / self.seconds
        latencies = f"{p50:.0f} | {p95:.0f} | {p99:.0f}"
        return f"{rate:.1f} | {latencies} | {self.refused} | {server:.1f} | {clients:.1f} | {100 * rate / maximum:.0f}"


def photos() -> list[bytes]:
    """Return scenes as JPEG files."""
    return [_jpeg(draw_scene(seed, SIZE, (1, 3)).image) for seed in range(PHOTOS)]


def photos_of_different_sizes() -> list[bytes]:
    """Return scenes of different sizes as JPEG files."""
    random = np.random.default_rng(0)
    sides = random.integers(*MEMORY_SIDES, (MEMORY_PHOTOS, 2))
    scenes = (draw_scene(seed, MEMORY_SIDES[1], (1, 3)).image for seed in range(MEMORY_PHOTOS))
    return [_jpeg(scene[:height, :width]) for scene, (height, width) in zip(scenes, sides, strict=True)]


def _jpeg(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@contextmanager
def running(command: list[str]) -> Iterator[tuple[int, int]]:
    """Run a server and yield its process id and port."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    output = ""
    for line in process.stderr:
        output += line
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            break
    else:
        raise SystemExit(f"{' '.join(command)} did not start: {output}")
    try:
        yield process.pid, int(found[1])
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send_requests(port: int, data: Sequence[bytes], until: float, most: float, path: str) -> tuple[list[float], int]:
    """Send requests one after the other; return the latencies in ms and the number of refused requests."""
    connection, latencies, refused = http.client.HTTPConnection("127.0.0.1", port, timeout=60), [], 0
    while time.perf_counter() < until and len(latencies) < most:
        start = time.perf_counter()
        connection.request("POST", path, data[len(latencies) % len(data)], {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        response.read()
        if response.status == 200:
            latencies.append(1000 * (time.perf_counter() - start))
        else:
            refused += 1
            time.sleep(float(response.headers["Retry-After"]))
    return latencies, refused


def load(
    pid: int,
    port: int,
    clients: int,
    data: Sequence[bytes],
    seconds: float = np.inf,
    most: float = np.inf,
    path: str = "/api/parse",
) -> Load:
    """Run clients in parallel for `seconds` or `most` requests each, every client starting with another photo."""
    turns = [[*data[first:], *data[:first]] for first in (client % len(data) for client in range(clients))]
    server, here, start = cpu_seconds(pid), time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        results = list(pool.map(lambda turn: send_requests(port, turn, start + seconds, most, path), turns))
    elapsed = time.perf_counter() - start
    latencies = [latency for one, _ in results for latency in one]
    refused = sum(refused for _, refused in results)
    return Load(elapsed, latencies, refused, cpu_seconds(pid) - server, time.process_time() - here)


def naive(artefact: Path, threads: int) -> None:
    """Serve with Flask's threaded server and a lock around the parser."""
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
        return jsonify(answer("naive", "naive", parsing, parsing.timings, {"map"}))

    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"http://127.0.0.1:{server.port}", file=sys.stderr, flush=True)
    server.serve_forever()


def watch_memory(server: list[str], requests: int) -> None:
    """Print a server's memory over a number of requests that ask for all outputs."""
    data = photos_of_different_sizes()
    print("| requests | MB | peak MB |\n|---|---|---|")
    with running(server) as (pid, port):
        for done in range(0, requests + 1, requests // MEMORY_STEPS):
            now, peak = (memory_mb(field, pid) for field in ("VmRSS", "VmHWM"))
            print(f"| {done} | {now:.0f} | {peak:.0f} |", flush=True)
            if done < requests:
                each = requests // MEMORY_STEPS // MEMORY_CLIENTS
                load(pid, port, MEMORY_CLIENTS, data, most=each, path="/api/parse?return=all")


def reference_row(command: str, threads: int) -> str:
    """Measure ModelScope's pipeline and return its cells of the table."""
    measured = measure_command(shlex.split(command), command, [], 10, threads, 1, 60)
    p50, p95, p99 = np.percentile(measured.times_ms, [50, 95, 99])
    rate = 1000 / np.mean(measured.times_ms)
    return f"ModelScope's pipeline | 1 | {rate:.2f} | {p50:.0f} | {p95:.0f} | {p99:.0f} | | | |"


def main() -> None:
    command = argparse.ArgumentParser(description="Compare the service under load with a naive one; prints Markdown.")
    command.add_argument("artefact", type=Path)
    command.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    command.add_argument("--seconds", type=float, default=10, help="time of load for each number of clients")
    command.add_argument("--threads", type=int, default=2, help="CPU threads of the naive server, streams of ours")
    command.add_argument("--serve", default="", metavar="OPTIONS", help="further options of `m2fp-kd serve`")
    command.add_argument("--reference", metavar="COMMAND", help="program that measures ModelScope's pipeline")
    command.add_argument("--memory", type=int, metavar="N", help="only show the memory over N requests")
    command.add_argument("--naive", action="store_true", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.naive:
        return naive(options.artefact, options.threads)
    ours = [sys.executable, "-m", "m2fp_kd", "serve", f"--artefact={options.artefact}", "--port=0"]
    ours += ["--requests-per-minute=0", f"--streams={options.threads}", *shlex.split(options.serve)]
    if options.memory:
        return watch_memory(ours, options.memory)
    other = [sys.executable, __file__, str(options.artefact), f"--threads={options.threads}", "--naive"]
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    data = photos()
    for clients in options.clients:
        for name, server in (("m2fp-kd serve", ours), ("naive", other)):
            with running(server) as (pid, port):
                load(pid, port, clients, data, 1)
                print(f"| {name} | {clients} | {load(pid, port, clients, data, options.seconds).row} |", flush=True)
    if options.reference:
        print(f"| {reference_row(options.reference, options.threads)} |")
    return None


if __name__ == "__main__":
    main()
