"""A request as it arrives, and its way into the application."""

import time
from contextlib import ExitStack
from typing import Any

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser
from waitress.task import WSGITask
from waitress.utilities import BadRequest

from m2fp_kd.serve.errors import CODES, ApiError, too_large
from m2fp_kd.serve.guard import REFUSED, has_token
from m2fp_kd.serve.settings import Settings

PARSING = ("/api/parse", "/api/parse/batch")
"""Paths that take a body."""

ENTERED = "m2fp_kd.entered"
"""Key in a WSGI environment of the function that lets the next request enter the application."""

PIECE = 1 << 10
"""Bytes of chunks that are read at a time, because waitress copies the rest for each chunk."""

CHUNK_OVERHEAD = 1 << 12
"""Bytes that the lines between the chunks may take beyond the size of the chunks."""

LONGEST_LINE = 1024
"""Bytes of a line between the chunks of a body, and of the lines behind them."""


class Incoming(HTTPRequestParser):
    """A request as it arrives.

    Attributes:
        started: `time.monotonic()` at its first byte.
        error: error of the request, of waitress or an `ApiError`; its body is not read.
        unread: the header is enough to refuse the request, so its body is not read.
    """

    command = "GET"
    path = request_uri = "/"
    query = ""
    url_scheme = "http"
    version = "1.1"
    unread = False

    def __init__(self, adj: Adjustments, settings: Settings) -> None:
        super().__init__(adj)
        self.settings = settings
        self.started = time.monotonic()

    def received(self, data: bytes) -> int:
        """Take bytes of the request and return their number."""
        consumed = super().received(data[:PIECE] if self.chunked else data)
        if self.chunked and self.body_rcv is not None:
            line = len(self.body_rcv.control_line) + len(self.body_rcv.trailer)
            if line > LONGEST_LINE or self.body_bytes_received > 2 * self.size + CHUNK_OVERHEAD:
                self.fail(BadRequest("The body's chunks are invalid or too small."))
        if self.error:
            self.drop_body()
        if self.error or self.unread:
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the header; drop the body unless the application will use it."""
        super().parse_header(header_plus)
        wants = self.command == "POST" and f"/{self.path.lstrip('/')}" in PARSING
        if not (wants and has_token(self.headers.get("AUTHORIZATION", ""), self.settings.token)):
            self.unread = self.body_rcv is not None
            self.drop_body()
        elif self.content_length > 1e6 * self.settings.megabytes:
            self.fail(too_large(self.settings))

    def fail(self, error: Any) -> None:
        """End the request with an error."""
        self.error = error
        self.completed = True
        self.drop_body()

    def drop_body(self) -> None:
        """Free the body and take no more of it."""
        self.close()
        self.body_rcv = None
        self.content_length = 0

    @property
    def size(self) -> int:
        """Bytes of the body so far."""
        return 0 if self.body_rcv is None else self.body_rcv.getbuf().__len__()


class Task(WSGITask):
    """A request's call of the application, which also words the errors that the server finds.

    Few requests with a body enter the application at the same time, because every thread that runs Python code makes
    all others wait, the one that reads all connections too. The application lets the next enter once it reads the body.
    """

    def execute(self) -> None:
        """Call the application; close the connection if the request's body was not read or the server stops."""
        if self.request.error or self.request.unread or self.channel.server.draining:
            self.set_close_on_finish()
        with ExitStack() as self.entrance:
            if self.request.size:
                self.entrance.enter_context(self.channel.server.entrance)
            super().execute()

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment, with the request's start and the server's error."""
        environ = super().get_environment()
        del environ["wsgi.file_wrapper"]  # which would keep a file open until its client has taken it
        environ[ENTERED] = self.entrance.close
        environ["m2fp_kd.started"] = self.request.started
        environ["m2fp_kd.draining"] = self.channel.server.draining
        if self.request.error or self.request.unread:
            environ["CONTENT_LENGTH"] = "0"
        if self.request.error:
            environ[REFUSED] = _api_error(self.request.error, self.request.settings)
        return environ


def _api_error(error: Any, settings: Settings) -> ApiError:
    """Return the answer for an error that waitress or this server found."""
    if isinstance(error, ApiError):
        return error
    if error.code == 413:
        return too_large(settings)
    messages = {431: "The request's header is too large.", 500: "The server failed; the cause is in its log."}
    message = messages.get(error.code) or f"The request is not valid HTTP: {error.body.rstrip('.')}."
    return ApiError(error.code, CODES.get(error.code, "bad_request"), message)
