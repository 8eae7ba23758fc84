"""The Flask application: routes, and errors as JSON."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.serve.answers import answer, wanted
from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.guard import guard
from m2fp_kd.serve.metrics import Metrics
from m2fp_kd.serve.models import Model
from m2fp_kd.serve.openapi import document
from m2fp_kd.serve.photos import MemoryRequest, decode, needed_bytes, photos_of
from m2fp_kd.serve.settings import Settings

CODES = {404: "not_found", 405: "method_not_allowed"}

T = TypeVar("T")


def create_app(models: Mapping[str, Model], settings: Settings) -> Flask:
    """The service.

    Args:
        models: mode -> model; the first is used where a request names none.
        settings: limits.
    """
    app = Flask(__name__)
    app.request_class = MemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = int(1e6 * settings.megabytes)
    app.config["MAX_FORM_PARTS"] = settings.photos + 16
    app.json.sort_keys = False  # type: ignore[attr-defined]
    metrics = Metrics({mode: model.worker for mode, model in models.items()})
    guard(app, settings)
    _answer_errors(app, settings)

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
        model, wants = _asked(models)
        data = photos_of(request, settings)
        if len(data) > 1:
            raise ApiError(400, "bad_request", "One photo at a time here; send several to /api/parse/batch.")
        (result,) = _parse(model, data, wants)
        if isinstance(result, ApiError):
            raise result
        return jsonify(result)

    @app.post("/api/parse/batch")
    def parse_several() -> Response:
        model, wants = _asked(models)
        results = _parse(model, photos_of(request, settings), wants)
        return jsonify({"results": [one.body if isinstance(one, ApiError) else one for one in results]})

    def _parse(model: Model, data: Sequence[bytes], wants: frozenset[str]) -> list[dict[str, Any] | ApiError]:
        """For each photo what is in it, or what is wrong with it."""
        sizes = [_or_error(needed_bytes, one, settings) for one in data]
        with model.worker.place([size for size in sizes if isinstance(size, int)]):
            read = [
                size if isinstance(size, ApiError) else _or_error(_Read.of, one)
                for one, size in zip(data, sizes, strict=True)
            ]
            photos = [one.photo for one in read if isinstance(one, _Read)]
            found = iter(model.worker.parse(photos, settings.deadline))
            return [one if isinstance(one, ApiError) else _answer(model.mode, one, *next(found), wants) for one in read]

    def _answer(mode: str, read: _Read, parsing: Parsing, waited: float, wants: frozenset[str]) -> dict[str, Any]:
        timings = {"queue": waited, **parsing.timings, "read": read.milliseconds}
        timings["total"] = sum(timings.values())
        metrics.parsed(mode, timings)
        return answer(mode, read.photo, parsing, timings, wants)

    return app


@dataclass(frozen=True)
class _Read:
    """A decoded photo, and how long that took."""

    photo: np.ndarray
    milliseconds: float

    @classmethod
    def of(cls, data: bytes) -> "_Read":
        start = time.perf_counter()
        return cls(decode(data), 1000 * (time.perf_counter() - start))


def _or_error(act: Callable[..., T], *arguments: Any) -> T | ApiError:
    try:
        return act(*arguments)
    except ApiError as error:
        return replace(error)  # without its traceback, whose frames hold what was decoded and, in turn, this error


def _asked(models: Mapping[str, Model]) -> tuple[Model, frozenset[str]]:
    """The model and the kinds of results that a request asks for, in its query."""
    mode = request.args.get("mode", next(iter(models)))
    if mode not in models:
        raise ApiError(404, "unknown_mode", f"This server has no mode '{mode}'; it has {', '.join(models)}.")
    return models[mode], wanted(request.args.get("return", "map"))


def _answer_errors(app: Flask, settings: Settings) -> None:
    @app.errorhandler(ApiError)
    def refused(error: ApiError) -> tuple[Response, int, dict[str, str]]:
        _let_go(error)
        return jsonify(error.body), error.status, error.headers

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> tuple[Response, int, dict[str, str]]:
        message = f"The request is too large: at most {settings.megabytes:g} MB and {settings.photos} photos are taken."
        return refused(ApiError(413, "photo_too_large", message))

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> tuple[Response, int, dict[str, str]]:
        status = error.code or 500
        return refused(
            ApiError(status, CODES.get(status, "bad_request"), error.description or "The request is not understood.")
        )

    @app.errorhandler(Exception)
    def broken(error: Exception) -> tuple[Response, int, dict[str, str]]:
        app.logger.exception("a request failed")
        _let_go(error)
        return refused(ApiError(500, "internal", "Something went wrong here; it was written to the server's log."))


def _let_go(error: Exception) -> None:
    """Let the photos go that the frames of an error's traceback know; some know the error too, and would keep all."""
    traceback.clear_frames(error.__traceback__)
