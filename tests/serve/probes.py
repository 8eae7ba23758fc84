"""A process that asks servers for a page again and again, and remembers the slowest answer of each.

    python -m tests.serve.probes http://127.0.0.1:8000/healthz http://127.0.0.1:8001/

It ends when its standard input ends, and prints JSON: for each address the seconds of its slowest answer.
"""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def idle_server(folder: Path) -> Iterator[str]:
    """Serve an empty folder from a process of its own; yield the address."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split("(")[1].rstrip(") .\n")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def probing(*addresses: str) -> Iterator[Callable[[], list[float]]]:
    """Probe addresses from a process of its own; yield a function that ends it and returns the seconds of each."""
    command = [sys.executable, "-m", "tests.serve.probes", *addresses]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end() -> list[float]:
        out, _ = process.communicate(timeout=90)
        return json.loads(out)

    try:
        yield end
    finally:
        process.kill()
        process.wait()


def seconds(address: str) -> float:
    """Return the seconds of an answer with status 200."""
    start = time.monotonic()
    with urllib.request.urlopen(address, timeout=60) as answer:
        answer.read()
    return time.monotonic() - start


def main() -> None:
    """Probe the addresses of the command line until the input ends."""
    ended = threading.Thread(target=sys.stdin.read, daemon=True)
    ended.start()
    worst = dict.fromkeys(sys.argv[1:], 0.0)
    while ended.is_alive():
        for address in worst:
            worst[address] = max(worst[address], seconds(address))
        time.sleep(0.02)
    print(json.dumps(list(worst.values())))


if __name__ == "__main__":
    main()
