"""Errors of a request and the JSON that the client gets for them."""

import traceback
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from m2fp_kd.serve.settings import Settings

CODES = {404: "not_found", 405: "method_not_allowed"}
"""HTTP status -> code of an error that Flask raises itself."""


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
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def answer_errors(app: Flask, settings: Settings) -> None:
    """Make an application answer every error as an `ApiError`."""

    @app.errorhandler(ApiError)
    def refused(error: ApiError) -> tuple[Response, int, dict[str, str]]:
        _clear_frames(error)
        return jsonify(error.body), error.status, error.headers

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> tuple[Response, int, dict[str, str]]:
        message = f"The request is too large; the limits are {settings.megabytes:g} MB and {settings.photos} photos."
        return refused(ApiError(413, "photo_too_large", message))

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> tuple[Response, int, dict[str, str]]:
        status = error.code or 500
        return refused(
            ApiError(status, CODES.get(status, "bad_request"), error.description or "The request cannot be understood.")
        )

    @app.errorhandler(Exception)
    def broken(error: Exception) -> tuple[Response, int, dict[str, str]]:
        app.logger.exception("a request failed")
        _clear_frames(error)
        return refused(ApiError(500, "internal", "The server failed; the cause is in its log."))


def _clear_frames(error: Exception) -> None:
    """Clear the frames of an error's traceback, which refer to photos and, in a cycle, to the error."""
    traceback.clear_frames(error.__traceback__)
