"""The production server: waitress with deadlines, a memory budget for its connections, and a way to stop gently.

Waitress reads and writes all connections in one thread, so that slow clients occupy no thread of the application. By
itself it closes a connection only when nothing at all arrives for a while, and keeps any number of bodies.
"""

import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from threading import RLock
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.incoming import Incoming, Task
from m2fp_kd.serve.memory_budget import HeldBytes
from m2fp_kd.serve.settings import Settings

CONNECTIONS = 768
"""Limit of connections; a further one replaces the one that has waited longest for its client."""

OF_ADDRESS = 384
"""The same for the connections of one address."""

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

SOCKET_BUFFER = 1 << 18
"""Bytes that the kernel keeps of a connection; by default several megabytes."""

ACCEPTED_AT_ONCE = 64
"""Connections that are accepted before others are looked at."""

QUICK_THREADS = 4
"""Threads for everything but parsing, so that health checks never wait behind photos."""


class Channel(HTTPChannel):
    """A connection."""

    task_class = error_task_class = Task
    requests: list[Incoming]
    request: Incoming | None
    close_when_flushed: bool

    def __init__(self, server: "Server", *arguments: Any, **options: Any) -> None:
        self.parser_class = partial(Incoming, settings=server.settings)
        self.waiting_since = time.monotonic()
        self.lingering_since: float | None = None
        super().__init__(server, *arguments, **options)
        self.requests_lock = RLock()

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
        if self.server.held.over:
            self.server.refuse_oldest_upload()
        return taken

    def service(self) -> None:
        """Answer a request; called in a thread of the application."""
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
    def upload_since(self) -> float | None:
        """Start of a request whose body is still arriving, if there is one."""
        request = self.request
        return request.started if request is not None and request.size and self.waits_for_client else None

    def _linger(self) -> None:
        self.lingering_since = time.monotonic()
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _count(self) -> None:
        """Tell the budget how many bytes of the connection are in memory."""
        requests = [request for request in (*self.requests, self.request) if request is not None]
        held = self.total_outbufs_len + sum(request.size for request in requests)
        self.server.held.hold(self, held)


class Server(TcpWSGIServer):
    """The server.

    Args:
        application: WSGI application.
        host: address to listen at.
        port: port to listen at; 0 for any free port.
        threads: threads for requests with photos.
        settings: limits.
        held: bytes that the connections hold.

    Raises:
        OSError: the address cannot be used.
    """

    channel_class = Channel

    def __init__(
        self, application: Callable, host: str, port: int, threads: int, settings: Settings, held: HeldBytes
    ) -> None:
        self.settings = settings
        self.held = held
        self.draining = False
        self.quick = ThreadedTaskDispatcher()
        self.quick.set_thread_count(QUICK_THREADS)
        largest = int(1e6 * settings.megabytes)
        super().__init__(
            application,
            host=host,
            port=port,
            threads=threads,
            connection_limit=CONNECTIONS + 64,  # of waitress, which would then accept nobody
            cleanup_interval=1,
            max_request_header_size=1 << 14,
            max_request_body_size=largest + 1,
            recv_bytes=1 << 14,
            # Nothing is written to disk: an upload never reaches the first limit, an answer never the second.
            inbuf_overflow=2 * largest,
            outbuf_overflow=1 << 40,
            outbuf_high_watermark=1 << 40,
            ident=None,
        )

    def set_socket_options(self, conn: socket.socket) -> None:
        """Set the options of a new connection."""
        super().set_socket_options(conn)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            conn.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)

    def add_task(self, channel: Channel) -> None:
        """Have a thread answer the first request of a connection."""
        request = channel.requests[0]
        dispatcher = self.task_dispatcher if request.size else self.quick
        dispatcher.add_task(channel)

    def handle_accept(self) -> None:
        """Accept the connections that wait, up to a number, because looking at all connections takes time each turn."""
        for _ in range(ACCEPTED_AT_ONCE):
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                return
            self._make_room()

    def _make_room(self) -> None:
        """Where there are too many connections, end the one that has waited longest for its client."""
        channels = list(self.active_channels.values())
        newest = channels[-1]
        own = [channel for channel in channels if channel.addr[0] == newest.addr[0]]
        if len(own) > OF_ADDRESS:
            _end_one(own, newest)
        elif len(channels) > CONNECTIONS:
            _end_one(channels, newest)

    def refuse_oldest_upload(self) -> None:
        """Refuse the upload that began first, to make room for the others."""
        uploads = [channel for channel in self.active_channels.values() if channel.upload_since is not None]
        if uploads:
            oldest = min(uploads, key=lambda channel: channel.upload_since)
            oldest.refuse(ApiError(503, "busy", "The server holds too many uploads; try again soon.", 1))

    def maintenance(self, now: float) -> None:
        """End what has taken too long."""
        for channel in list(self.active_channels.values()):
            channel.expire(time.monotonic())

    def run(self) -> None:
        """Serve until `stop`, then answer what has been accepted, for the time of grace at most."""
        while not self.draining:
            self._turn(1)
        self._stop_listening()
        end = time.monotonic() + self.settings.grace
        while self.active_channels and time.monotonic() < end:
            self._turn(0.1)
            self.maintenance(0)
            self._end_idle_connections()
        for dispatcher in (self.task_dispatcher, self.quick):
            dispatcher.shutdown(timeout=1)
        self.asyncore.close_all(self._map)

    def stop(self) -> None:
        """Make `run` end; safe in a signal handler and in any thread."""
        self.draining = True
        self.pull_trigger()

    def _turn(self, seconds: float) -> None:
        self.asyncore.loop(timeout=seconds, map=self._map, use_poll=True, count=1)

    def _stop_listening(self) -> None:
        """Accept the connections that the kernel has accepted already, then no more."""
        before = -1
        while before < len(self.active_channels) < CONNECTIONS:
            before = len(self.active_channels)
            self.handle_accept()
        self.asyncore.dispatcher.close(self)

    def _end_idle_connections(self) -> None:
        """End connections without a request, except those that may just be sending one."""
        now = time.monotonic()
        for channel in list(self.active_channels.values()):
            idle = channel.waits_for_client and channel.request is None and channel.lingering_since is None
            channel.will_close |= idle and now - channel.waiting_since > 1


def _end_one(channels: Iterable[Channel], newest: Channel) -> None:
    """End the connection that has waited longest for its client, or the newest if all wait for the server."""
    others = [channel for channel in channels if channel.waits_for_client and channel is not newest]
    oldest_last = sorted(others, key=lambda channel: (channel.upload_since is not None, channel.waiting_since))
    (oldest_last[0] if oldest_last else newest).will_close = True
