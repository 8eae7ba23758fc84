"""Errors of a request and the JSON that the client gets for them."""

import traceback
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from m2fp_kd.serve.settings import Settings

CODES = {
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    431: "headers_too_large",
    500: "internal",
    501: "not_implemented",
}
"""HTTP status -> code of an error that Flask or the server raises itself."""

FORM_TEXT = 500_000
"""Bytes of all text fields of a form, which hold no photos."""


@dataclass
class ApiError(Exception):
    """An error answer.

    Attributes:
        status: HTTP status.
        code: stable name of the error, for programs.
        message: cause and fix in a sentence, for people.
        retry_after: seconds after which the same request may succeed; None if it never will.
    """

    status: int
    code: str
    message: str
    retry_after: int | None = None

    @property
    def body(self) -> dict[str, Any]:
        """JSON body of the answer."""
        return {"error": {"code": self.code, "message": self.message}}

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers of the answer."""
        waiting = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return waiting | ({"WWW-Authenticate": 'Bearer realm="m2fp-kd"'} if self.status == 401 else {})


def answer_errors(app: Flask, settings: Settings) -> None:
    """Make an application answer every error as an `ApiError`."""

    @app.errorhandler(ApiError)
    def refused(error: ApiError) -> tuple[Response, int, dict[str, str]]:
        _clear_frames(error)
        g.error_code = error.code
        return jsonify(error.body), error.status, error.headers

    @app.errorhandler(RequestEntityTooLarge)
    def entity_too_large(error: RequestEntityTooLarge) -> tuple[Response, int, dict[str, str]]:
        if (request.content_length or 0) <= 1e6 * settings.megabytes:
            return refused(form_too_large(settings))
        return refused(too_large(settings))

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> tuple[Response, int, dict[str, str]]:
        status = error.code or 500
        message = error.description or "The request cannot be understood."
        body, status, headers = refused(ApiError(status, CODES.get(status, "bad_request"), message))
        own = {name: value for name, value in error.get_headers(request.environ) if name in ("Allow", "Location")}
        return body, status, headers | own

    @app.errorhandler(Exception)
    def broken(error: Exception) -> tuple[Response, int, dict[str, str]]:
        app.logger.exception("a request failed")
        _clear_frames(error)
        return refused(ApiError(500, "internal", "The server failed; the cause is in its log."))


def too_large(settings: Settings) -> ApiError:
    """Return the error of a body that is larger than the limit."""
    message = f"The request is too large; the limits are {settings.megabytes:g} MB and {settings.photos} photos."
    return ApiError(413, "photo_too_large", message)


def form_too_large(settings: Settings) -> ApiError:
    """Return the error of a form with too many fields or too long a text."""
    limits = f"{settings.photos} photos and {FORM_TEXT // 1000} kB of text"
    return ApiError(413, "photo_too_large", f"The form is too large; the limits are {limits}. Send photos as files.")


def _clear_frames(error: Exception) -> None:
    """Clear the frames of an error's traceback, which refer to photos and, in a cycle, to the error."""
    traceback.clear_frames(error.__traceback__)
