"""Access control: tokens, request rates and security headers."""

import hmac
import time
from collections import OrderedDict
from threading import Lock

from flask import Flask, Request, Response, request

from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.settings import Settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self)",
    "Cross-Origin-Resource-Policy": "same-origin",
}

CLIENTS = 10_000
"""Limit of clients in memory; the least recently seen are forgotten first."""


class RateLimit:
    """A token bucket for each client.

    Args:
        per_minute: tokens added to each bucket a minute; 0 for no limit.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self.most = max(1.0, per_minute / 6)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, client: str, now: float) -> float:
        """Take a token of a client at the time `now`, in seconds; return 0, or the seconds until the next token."""
        if not self.per_minute:
            return 0.0
        with self._lock:
            tokens, before = self._buckets.pop(client, (self.most, now))
            tokens = min(self.most, tokens + (now - before) * self.per_minute / 60)
            wait = 0.0 if tokens >= 1 else (1 - tokens) * 60 / self.per_minute
            self._buckets[client] = (tokens - 1 if tokens >= 1 else tokens, now)
            if len(self._buckets) > CLIENTS:
                self._buckets.popitem(last=False)
        return wait


def guard(app: Flask, settings: Settings) -> None:
    """Check token and rate of every request to /api; add the security headers to every answer."""
    limit = RateLimit(settings.requests_per_minute)

    @app.before_request
    def check() -> None:
        if not request.path.startswith("/api/"):
            return
        if settings.token is not None and not _has_token(request, settings.token):
            raise ApiError(401, "unauthorized", "This server requires a token: Authorization: Bearer TOKEN.")
        if wait := limit.take(request.remote_addr or "", time.monotonic()):
            raise ApiError(429, "rate_limited", "You have sent too many requests; wait a moment.", max(1, round(wait)))

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.extend(HEADERS)
        if request.path.startswith("/api/"):
            response.headers["Cache-Control"] = "no-store"
        return response


def _has_token(incoming: Request, token: str) -> bool:
    kind, _, given = incoming.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
