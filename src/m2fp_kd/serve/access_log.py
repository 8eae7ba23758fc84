"""One log line for each request, as text or JSON, without its photo, query or token."""

import json
import logging
import time
from urllib.parse import quote

from flask import Flask, Response, g, request

log = logging.getLogger(__name__)

LONGEST_PATH = 200
"""Characters of a path in the log."""


def log_requests(app: Flask) -> None:
    """Log every answer of an application."""

    @app.after_request
    def write(response: Response) -> Response:
        fields = {
            "client": request.remote_addr,
            "method": _plain(request.method),
            "path": _plain(request.path),
            "status": response.status_code,
            "error": g.get("error_code"),
            "received": request.content_length or 0,
            "sent": response.content_length or 0,
            "ms": round(1000 * (time.monotonic() - started(request.environ)), 1),
        }
        text = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
        log.info(text, extra={"fields": fields})
        return response


def started(environ: dict) -> float:
    """Return `time.monotonic()` at a request's first byte; the server puts it into the environment."""
    return environ.setdefault("m2fp_kd.started", time.monotonic())


def _plain(text: str) -> str:
    """Escape what could forge a log line."""
    return quote(text, safe="/-_.~")[:LONGEST_PATH]


class JsonFormatter(logging.Formatter):
    """Format log records as JSON objects, one a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's time, level, and the fields of a request or the message."""
        fields = getattr(record, "fields", None) or {"message": record.getMessage()}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line = {"time": now, "level": record.levelname.lower(), **fields}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stderr(as_json: bool) -> None:
    """Set up logging: a line starts with its time, or is a JSON object."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("waitress").setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line for every waiting request
