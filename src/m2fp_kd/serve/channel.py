"""A connection of the server: what it may take, hold and wait for."""

import socket
import time
from contextlib import suppress
from functools import partial
from threading import RLock
from typing import Any

from waitress.channel import HTTPChannel

from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.incoming import Incoming, Task
from m2fp_kd.serve.outgoing import Outgoing

HEADER_SECONDS = 10
"""Time for a request's header."""

IDLE_SECONDS = 30
"""Time between the requests of a connection."""

SENDING_SECONDS = 30
"""Time beyond the deadline for the client to take its answer."""

LINGER_SECONDS = 5
"""Time for a client to notice that the connection ends, in which the rest of its body is thrown away."""

PIPELINED = 4
"""Requests that a client may send before their answers."""

CLOSED = (7, 8)
"""States of a TCP connection that its client has closed, from Linux' `tcp_states.h`."""


class Channel(HTTPChannel):
    """A connection."""

    task_class = error_task_class = Task
    requests: list[Incoming]
    request: Incoming | None
    close_when_flushed: bool
    current_outbuf_count = property(lambda self: 0, lambda self, count: None)  # waitress would begin another buffer

    def __init__(self, server: Any, *arguments: Any, **options: Any) -> None:
        self.parser_class = partial(Incoming, settings=server.settings)
        self.waiting_since = time.monotonic()
        self.lingering_since: float | None = None
        super().__init__(server, *arguments, **options)
        self.requests_lock = RLock()
        self.outbufs = [Outgoing()]

    def received(self, data: bytes) -> bool:
        """Take bytes that have arrived."""
        if self.lingering_since is not None:
            return False
        with self.requests_lock:
            taken = super().received(data)
            if len(self.requests) > PIPELINED:
                del self.requests[PIPELINED:]
                self.will_close = True
        self._count()
        self.server.make_space()
        return taken

    def service(self) -> None:
        """Answer a request; called in a thread of the application."""
        if self.requests:  # none where the client has gone meanwhile
            super().service()
        if not self.connected:
            self.requests = []
        self.waiting_since = time.monotonic()
        self._count()

    def handle_write(self) -> None:
        """Send; before a connection ends, give the client time to read its answer.

        Closing while bytes of a body still arrive would reset the connection, and the client would lose the answer.
        """
        closing, self.close_when_flushed = self.close_when_flushed, False
        super().handle_write()
        if closing and self.connected:
            if self.total_outbufs_len:
                self.close_when_flushed = True
            else:
                self._linger()
        self._count()

    def handle_close(self) -> None:
        """Close the connection and forget its bytes."""
        super().handle_close()
        self.request = None
        self._count()

    def expire(self, now: float) -> None:
        """End what has taken too long."""
        request = self.request
        if self.lingering_since is not None:
            self.will_close |= now - self.lingering_since > LINGER_SECONDS
        elif self.requests:
            latest = self.server.settings.deadline + SENDING_SECONDS
            self.will_close |= now - self.requests[0].started > latest
        elif self.total_outbufs_len:
            self.will_close |= now - self.waiting_since > SENDING_SECONDS
        elif request is not None:
            limit = self.server.settings.deadline
            limit = limit if request.headers_finished else min(limit, HEADER_SECONDS)
            if now - request.started > limit:
                self.refuse(ApiError(408, "too_slow", f"The request did not arrive within {limit:g} s."))
        else:
            self.will_close |= now - self.waiting_since > IDLE_SECONDS

    def refuse(self, error: ApiError) -> None:
        """Answer a request that has not arrived whole."""
        with self.requests_lock:
            request, self.request = self.request, None
            if request is None:
                return
            request.fail(error)
            self.requests.append(request)
            if len(self.requests) == 1:
                self.server.add_task(self)
        self._count()

    @property
    def waits_for_client(self) -> bool:
        """Whether the connection has no request that the application has to answer."""
        return not (self.will_close or self.requests or self.total_outbufs_len)

    @property
    def holds_since(self) -> float | None:
        """Time since which the connection holds an answer, or a part of a body, because its client is slow."""
        if self.total_outbufs_len:
            return self.waiting_since
        request = self.request
        return request.started if request is not None and request.size and self.waits_for_client else None

    @property
    def closed_by_client(self) -> bool:
        """Whether the client has ended the connection, as far as the system tells."""
        if self.socket is None or not hasattr(socket, "TCP_INFO"):
            return False
        return self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in CLOSED

    def free(self) -> None:
        """Make space: end a client that does not take its answer, or refuse its upload."""
        if self.total_outbufs_len:
            self.handle_close()
        else:
            self.refuse(ApiError(503, "busy", "The server holds too many uploads; try again soon.", 1))

    def _linger(self) -> None:
        self.lingering_since = time.monotonic()
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _count(self) -> None:
        """Tell the budget how many bytes of the connection are in memory."""
        requests = [request for request in (*self.requests, self.request) if request is not None]
        held = self.total_outbufs_len + sum(request.size for request in requests)
        self.server.held.hold(self, held)
