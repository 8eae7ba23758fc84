"""A camera in the network: an HTTP server that sends JPEGs one after the other, as many IP cameras do."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

LEVELS = 5
"""Grey levels between two frames' brightness, more than JPEG changes."""


@dataclass
class Sender:
    """Behaviour of the camera, and counts of its work.

    Attributes:
        rate: frames a second.
        per_connection: frames after which it closes the connection.
        connections: connections that it answers.
        sent: frames sent.
        accepted: connections answered.
        url: its address.
    """

    rate: float = 50.0
    per_connection: int = 10_000
    connections: int = 100
    sent: int = field(default=0, init=False)
    accepted: int = field(default=0, init=False)
    url: str = field(default="", init=False)


def jpeg(number: int) -> bytes:
    """Return a frame with a green person, whose brightness encodes the frame's number modulo 50."""
    picture = np.full((64, 96, 3), LEVELS * (number % 50), np.uint8)
    picture[:, 48:] = (200, 30, 30)
    picture[20:50, 60:76] = (30, 200, 30)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    return file.getvalue()


def number_of(image: np.ndarray) -> int:
    """Return the number of a frame, modulo 50."""
    return round(float(image[:, :40].mean()) / LEVELS)


@contextmanager
def sending(sender: Sender) -> Iterator[Sender]:
    """Run the server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if sender.accepted >= sender.connections:
                self.send_error(503)
                return
            sender.accepted += 1
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with suppress(OSError):
                for _ in range(sender.per_connection):
                    data = jpeg(sender.sent)
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")
                    sender.sent += 1
                    time.sleep(1 / sender.rate)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sender.url = f"http://user:secret@127.0.0.1:{server.server_port}/camera.mjpeg"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield sender
    finally:
        server.shutdown()
        server.server_close()
