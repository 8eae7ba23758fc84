"""Access control: host names, origins, tokens, request rates and security headers."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Mapping
from ipaddress import ip_address
from threading import Lock
from urllib.parse import urlsplit

from flask import Flask, Response, request

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

REFUSED = "m2fp_kd.refused"
"""Key in a WSGI environment of the `ApiError` with which the server has refused the request already."""


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
            tokens = self._tokens(client, now)
            wait = 0.0 if tokens >= 1 else (1 - tokens) * 60 / self.per_minute
            self._put(client, tokens - 1 if tokens >= 1 else tokens, now)
        return wait

    def charge(self, client: str, cost: float, now: float) -> None:
        """Take `cost` tokens of an admitted client; it waits afterwards if that is more than it has."""
        if self.per_minute:
            with self._lock:
                self._put(client, self._tokens(client, now) - cost, now)

    def _tokens(self, client: str, now: float) -> float:
        tokens, before = self._buckets.pop(client, (self.most, now))
        return min(self.most, tokens + (now - before) * self.per_minute / 60)

    def _put(self, client: str, tokens: float, now: float) -> None:
        self._buckets[client] = (tokens, now)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)


def guard(app: Flask, settings: Settings, headers: Mapping[str, str]) -> RateLimit:
    """Check every request to /api; add security headers to every answer; return the limit of rates."""
    limit = RateLimit(settings.requests_per_minute)

    @app.before_request
    def check() -> None:
        refused = request.environ.get(REFUSED)
        if not request.path.startswith("/api/"):
            if refused:
                raise refused
            return
        _check_host(request.host, settings)
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host and origin not in settings.origins:
            raise ApiError(403, "foreign_origin", "Pages of this origin may not call this server; see --origin.")
        if request.method == "OPTIONS":  # browsers send no token with it
            return
        if wait := limit.take(request.remote_addr or "", time.monotonic()):
            raise ApiError(429, "rate_limited", "You have sent too many requests; wait a moment.", max(1, round(wait)))
        if refused:
            raise refused
        if not has_token(request.headers.get("Authorization", ""), settings.token):
            raise ApiError(401, "unauthorized", "This server requires a token: Authorization: Bearer TOKEN.")

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.extend(headers)
        if request.path.startswith("/api/"):
            response.headers["Cache-Control"] = "no-store"
            _allow_origin(response, request.headers.get("Origin"), settings)
        return response

    return limit


def has_token(authorization: str, token: str | None) -> bool:
    """Return whether a header names the token, encoded as UTF-8 or Latin-1; always true without a token.

    Args:
        authorization: value of the header, decoded as Latin-1 as in WSGI.
        token: the server's token.
    """
    if token is None:
        return True
    kind, _, text = authorization.partition(" ")
    given = text.strip().encode("latin-1", "replace")
    accepted = {token.encode(), token.encode("latin-1", "backslashreplace")}
    return kind.lower() == "bearer" and any(hmac.compare_digest(given, one) for one in accepted)


def _check_host(host: str, settings: Settings) -> None:
    """Refuse host names that a foreign page may have pointed at this machine (DNS rebinding)."""
    name = urlsplit(f"//{host}").hostname or ""
    if name in ("localhost", *(one.lower() for one in settings.names)):
        return
    try:
        ip_address(name)
    except ValueError:
        message = f"This server does not know itself as '{name[:100]}'; start it with --name and that name."
        raise ApiError(421, "unknown_host", message) from None


def _allow_origin(response: Response, origin: str | None, settings: Settings) -> None:
    """Add the headers by which a browser shares the answer with a page of an allowed origin (CORS)."""
    if not settings.origins:
        return
    response.vary.add("Origin")
    if origin in settings.origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
