"""What goes wrong with a request, as the client reads it."""

import traceback
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from m2fp_kd.serve.settings import Settings

CODES = {404: "not_found", 405: "method_not_allowed"}
"""By HTTP status, of errors that Flask raises itself."""


@dataclass
class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        status: of HTTP.
        code: stable, for programs.
        message: a sentence for people that says what to do.
        retry_after: seconds after which the same request may succeed; None if it will not.
    """

    status: int
    code: str
    message: str
    retry_after: int | None = None

    @property
    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"error": {"code": self.code, "message": self.message}}

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def answer_errors(app: Flask, settings: Settings) -> None:
    """Make an application answer whatever goes wrong as an `ApiError`."""

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
