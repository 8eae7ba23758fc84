"""The Flask application and its routes."""

from collections.abc import Mapping

from flask import Flask, Response, jsonify, request

from m2fp_kd.serve.answers import wanted
from m2fp_kd.serve.errors import ApiError, answer_errors
from m2fp_kd.serve.guard import guard
from m2fp_kd.serve.metrics import Metrics
from m2fp_kd.serve.models import Model
from m2fp_kd.serve.openapi import document
from m2fp_kd.serve.parse import parse_photos
from m2fp_kd.serve.photos import MemoryRequest, photos_of
from m2fp_kd.serve.settings import Settings


def create_app(models: Mapping[str, Model], settings: Settings) -> Flask:
    """Create the service.

    Args:
        models: mode -> model; a request that names no mode uses the first.
        settings: limits.
    """
    app = Flask(__name__)
    app.request_class = MemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = int(1e6 * settings.megabytes)
    app.config["MAX_FORM_PARTS"] = settings.photos + 16
    app.json.sort_keys = False  # type: ignore[attr-defined]
    metrics = Metrics({mode: model.worker for mode, model in models.items()})
    guard(app, settings)
    answer_errors(app, settings)

    @app.after_request
    def count(response: Response) -> Response:
        metrics.answered(request.endpoint or "unknown", response.status_code)
        return response

    @app.get("/")
    def index() -> Response:
        return app.send_static_file("index.html")

    @app.get("/docs")
    def docs() -> Response:
        return app.send_static_file("docs.html")

    @app.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(document(list(models), settings))

    @app.get("/healthz")
    def health() -> Response:
        return jsonify({"status": "ok"})

    @app.get("/readyz")
    def ready() -> tuple[Response, int]:
        states = {mode: model.worker.ready for mode, model in models.items()}
        return jsonify({"ready": states}), 200 if all(states.values()) else 503

    @app.get("/metrics")
    def prometheus() -> Response:
        return Response(metrics.text, content_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/api/models")
    def list_models() -> Response:
        limits = {"megabytes": settings.megabytes, "megapixels": settings.megapixels, "photos": settings.photos}
        return jsonify(
            {
                "models": [model.facts for model in models.values()],
                "limits": limits,
                "token": settings.token is not None,
            }
        )

    @app.post("/api/parse")
    def parse_one() -> Response:
        model, wants = _requested(models)
        data = photos_of(request, settings)
        if len(data) > 1:
            raise ApiError(400, "bad_request", "This address takes one photo; send several to /api/parse/batch.")
        (result,) = parse_photos(model, data, wants, settings, metrics)
        if isinstance(result, ApiError):
            raise result
        return jsonify(result)

    @app.post("/api/parse/batch")
    def parse_several() -> Response:
        model, wants = _requested(models)
        results = parse_photos(model, photos_of(request, settings), wants, settings, metrics)
        return jsonify({"results": [one.body if isinstance(one, ApiError) else one for one in results]})

    return app


def _requested(models: Mapping[str, Model]) -> tuple[Model, frozenset[str]]:
    """Return the model and the members of `RETURNS` that a request's query names."""
    mode = request.args.get("mode", next(iter(models)))
    if mode not in models:
        raise ApiError(404, "unknown_mode", f"There is no mode '{mode}'; choose from {', '.join(models)}.")
    return models[mode], wanted(request.args.get("return", "map"))
