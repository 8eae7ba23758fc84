"""The Flask application and its routes."""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from flask import Flask, Response, jsonify, request, send_from_directory

from m2fp_kd.serve.access_log import log_requests, started
from m2fp_kd.serve.answers import translation_of, wanted
from m2fp_kd.serve.deadline import Deadline
from m2fp_kd.serve.errors import FORM_TEXT, ApiError, answer_errors
from m2fp_kd.serve.guard import HEADERS, RateLimit, guard
from m2fp_kd.serve.memory_budget import HeldBytes
from m2fp_kd.serve.metrics import Metrics
from m2fp_kd.serve.models import Model
from m2fp_kd.serve.openapi import document
from m2fp_kd.serve.parse import ParseRequest, Wish
from m2fp_kd.serve.photos import MemoryRequest
from m2fp_kd.serve.settings import Settings
from m2fp_kd.serve.web_page import DEVICE_HEADERS, STATIC, device_page


def create_app(
    models: Mapping[str, Model], settings: Settings, held: HeldBytes | None = None, device: Path | None = None
) -> Flask:
    """Create the service.

    Args:
        models: mode -> model; a request that names no mode uses the first.
        settings: limits.
        held: bytes that the server's connections hold, for the metrics.
        device: folder of what a visitor's device needs to parse photos itself; None for a page without that choice.
    """
    app = Flask(__name__)
    app.request_class = MemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = int(1e6 * settings.megabytes)
    app.config["MAX_FORM_PARTS"] = settings.photos + 16
    app.config["MAX_FORM_MEMORY_SIZE"] = FORM_TEXT
    app.json.sort_keys = False  # type: ignore[attr-defined]
    metrics = Metrics({mode: model.worker for mode, model in models.items()}, held)
    limit = guard(app, settings, HEADERS if device is None else DEVICE_HEADERS)
    log_requests(app)
    answer_errors(app, settings)

    @app.after_request
    def count(response: Response) -> Response:
        metrics.answered(request.endpoint or "unknown", response.status_code)
        return response

    _add_pages(app, device)
    _add_probes(app, models, metrics)
    _add_api(app, models, settings, ParseRequest(settings, metrics), limit)
    return app


def _add_pages(app: Flask, device: Path | None) -> None:
    """Add the web page, its files for a visitor's device, and the page of the API's documentation."""

    @app.get("/")
    def index() -> Response:
        if device is None:
            return app.send_static_file("index.html")
        page = (STATIC / "index.html").read_text(encoding="utf-8")
        return Response(device_page(page, "server device"), content_type="text/html; charset=utf-8")

    if device is not None:

        @app.get("/device/<path:name>")
        def device_file(name: str) -> Response:
            return send_from_directory(device, name)

    @app.get("/docs")
    def docs() -> Response:
        return app.send_static_file("docs.html")


def _add_probes(app: Flask, models: Mapping[str, Model], metrics: Metrics) -> None:
    """Add what an orchestrator and Prometheus ask."""

    @app.get("/healthz")
    def health() -> Response:
        return jsonify({"status": "ok"})

    @app.get("/readyz")
    def ready() -> tuple[Response, int]:
        stopping = request.environ.get("m2fp_kd.draining", False)
        states = {mode: model.worker.ready and not stopping for mode, model in models.items()}
        return jsonify({"ready": states}), 200 if all(states.values()) else 503

    @app.get("/metrics")
    def prometheus() -> Response:
        return Response(metrics.text, content_type="text/plain; version=0.0.4; charset=utf-8")


def _add_api(
    app: Flask, models: Mapping[str, Model], settings: Settings, parse: ParseRequest, limit: RateLimit
) -> None:
    """Add the routes of the API and its description."""

    @app.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(document({mode: list(model.translations) for mode, model in models.items()}, settings))

    @app.get("/api/models")
    def list_models() -> Response:
        limits = {"megabytes": settings.megabytes, "megapixels": settings.megapixels, "photos": settings.photos}
        facts = [model.facts for model in models.values()]
        return jsonify({"models": facts, "limits": limits, "token": settings.token is not None})

    def parsed(alone: bool) -> Response:
        mode = request.args.get("mode", next(iter(models)))
        if mode not in models:
            raise ApiError(404, "unknown_mode", f"There is no mode '{mode}'; choose from {', '.join(models)}.")
        model = models[mode]
        wants = wanted(request.args.get("return", "map"), model.facts["probabilities"])
        translation = translation_of(model, request.args.get("labels", ""))
        deadline = Deadline(started(request.environ), settings.deadline)
        charge = partial(limit.charge, request.remote_addr or "", now=time.monotonic())
        return parse(request, Wish(model, wants, translation, alone, deadline, charge))

    @app.post("/api/parse")
    def parse_one() -> Response:
        return parsed(alone=True)

    @app.post("/api/parse/batch")
    def parse_several() -> Response:
        return parsed(alone=False)
