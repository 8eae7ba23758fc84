"""Prometheus metrics of a server."""

from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from m2fp_kd.serve.memory_budget import HeldBytes
from m2fp_kd.serve.worker import Worker

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """Counters and gauges of a server; `text` is the body of /metrics.

    Args:
        workers: mode -> worker, whose queue length and reserved bytes are reported.
        held: bytes that the server's connections hold; None without such a server.
    """

    def __init__(self, workers: Mapping[str, Worker], held: HeldBytes | None) -> None:
        self._registry = own = CollectorRegistry()
        self._requests = Counter("m2fp_kd_requests", "Answers.", ["endpoint", "status"], registry=own)
        self._photos = Counter("m2fp_kd_photos", "Photos parsed.", ["mode"], registry=own)
        self._seconds = Histogram(
            "m2fp_kd_step_seconds", "Time of a photo by step.", ["mode", "step"], buckets=SECONDS, registry=own
        )
        waiting = Gauge("m2fp_kd_waiting_photos", "Photos in the queue.", ["mode"], registry=own)
        size = Gauge("m2fp_kd_waiting_bytes", "Bytes that requests have reserved for photos.", ["mode"], registry=own)
        for mode, worker in workers.items():
            waiting.labels(mode).set_function(partial(getattr, worker, "waiting"))
            size.labels(mode).set_function(partial(getattr, worker, "reserved_bytes"))
        if held is not None:
            text = "Bytes of uploads and answers that connections hold."
            Gauge("m2fp_kd_held_bytes", text, registry=own).set_function(partial(getattr, held, "total"))

    def answered(self, endpoint: str, status: int) -> None:
        """Count an answer by endpoint and HTTP status."""
        self._requests.labels(endpoint, str(status)).inc()

    def parsed(self, mode: str, timings: Mapping[str, float]) -> None:
        """Count a parsed photo and record its milliseconds by step."""
        self._photos.labels(mode).inc()
        for step, milliseconds in timings.items():
            self._seconds.labels(mode, step).observe(milliseconds / 1000)

    @property
    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._registry)
