"""The production server: waitress with limits for its connections, a memory budget for them, and a gentle stop.

Waitress reads and writes all connections in one thread, so that slow clients occupy no thread of the application. By
itself it closes a connection only when nothing at all arrives for a while, and keeps any number of bodies.
"""

import socket
import time
from collections.abc import Callable, Iterable
from threading import BoundedSemaphore

from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from m2fp_kd.serve.channel import Channel
from m2fp_kd.serve.memory_budget import HeldBytes
from m2fp_kd.serve.settings import READERS, Settings

CONNECTIONS = 768
"""Limit of connections; a further one replaces the one that has waited longest for its client."""

OF_ADDRESS = 384
"""The same for the connections of one address."""

SOCKET_BUFFER = 1 << 18
"""Bytes that the kernel keeps of a connection; by default several megabytes."""

ACCEPTED_AT_ONCE = 64
"""Connections that are accepted before others are looked at."""

HEALTH = ("/healthz", "/readyz")
"""Paths that have a thread for themselves, so that health checks never wait behind other requests."""


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
        self.entrance = BoundedSemaphore(READERS)
        self.quick, self.health = ThreadedTaskDispatcher(), ThreadedTaskDispatcher()
        for dispatcher in (self.quick, self.health):  # what is no photo never waits behind photos
            dispatcher.set_thread_count(1)
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
            inbuf_overflow=2 * largest,  # which no upload reaches, so that none is written to disk
            outbuf_high_watermark=1 << 40,  # beyond it a thread would wait for its client
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
        quick = self.health if request.path in HEALTH else self.quick
        dispatcher = self.task_dispatcher if request.size else quick
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
        channels = [channel for channel in self.active_channels.values() if not channel.will_close]
        newest = channels[-1]
        own = [channel for channel in channels if channel.addr[0] == newest.addr[0]]
        if len(own) > OF_ADDRESS:
            _end_some(own, newest)
        elif len(channels) > CONNECTIONS:
            _end_some(channels, newest)

    def make_space(self) -> None:
        """While the connections hold too much, end what has waited longest for its client."""
        while self.held.over:
            waiting = [channel for channel in self.active_channels.values() if channel.holds_since is not None]
            if not waiting:
                return
            min(waiting, key=lambda channel: channel.holds_since).free()

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
        for dispatcher in (self.task_dispatcher, self.quick, self.health):
            dispatcher.shutdown(timeout=1)
        self.asyncore.close_all(self._map)

    def stop(self) -> None:
        """Make `run` end; safe in a signal handler and in any thread."""
        self.draining = True
        self.pull_trigger()

    def _turn(self, seconds: float) -> None:
        self.asyncore.loop(timeout=seconds, map=self._map, use_poll=True, count=1)
        self.make_space()

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


def _end_some(channels: Iterable[Channel], newest: Channel) -> None:
    """End the connections that their clients have closed, or else the one that has waited longest for its client.

    If all wait for the server, end the newest.
    """
    others = [channel for channel in channels if channel is not newest]
    ended = [one for one in others if one.closed_by_client]
    if not ended:
        waiting = [one for one in others if one.waits_for_client]
        ended = sorted(waiting, key=lambda channel: (channel.holds_since is not None, channel.waiting_since))[:1]
    for channel in ended or [newest]:
        channel.will_close = True
