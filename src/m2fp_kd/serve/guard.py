"""Who may ask, how often, and what a browser may do with the answers."""

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
"""So many clients are remembered; those not heard of longest are forgotten first."""


class RateLimit:
    """A bucket of tokens for each client, which fills up steadily.

    Args:
        per_minute: tokens that drip in; 0 for no limit.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self.most = max(1.0, per_minute / 6)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, client: str, now: float) -> float:
        """Take a token; return the seconds to wait for one, 0 if there was one."""
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
    """Check every request to /api, and add the security headers to every answer."""
    limit = RateLimit(settings.requests_per_minute)

    @app.before_request
    def check() -> None:
        if not request.path.startswith("/api/"):
            return
        if settings.token is not None and not _bears(request, settings.token):
            raise ApiError(401, "unauthorized", "This server wants a token: Authorization: Bearer TOKEN.")
        if wait := limit.take(request.remote_addr or "", time.monotonic()):
            raise ApiError(429, "rate_limited", "Too many requests from you; wait a little.", max(1, round(wait)))

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.extend(HEADERS)
        if request.path.startswith("/api/"):
            response.headers["Cache-Control"] = "no-store"
        return response


def _bears(asked: Request, token: str) -> bool:
    kind, _, given = asked.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
