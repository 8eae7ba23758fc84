"""An IP camera that speaks RTSP: MPEG-TS in RTP packets, inside the RTSP connection."""

import io
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np

RATE = 25
PACKETS = 7 * 188
"""Bytes of MPEG-TS in an RTP packet."""


def transport_stream(frames: int) -> bytes:
    """Return frames that grow brighter, as MPEG-TS."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        options = {"tune": "zerolatency"}
        stream = container.add_stream("libx264", rate=RATE, width=64, height=48, pix_fmt="yuv420p", options=options)
        stream.codec_context.gop_size = 5
        for index in range(frames):
            picture = np.full((48, 64, 3), index % 250, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


class Camera(socketserver.StreamRequestHandler):
    """One connection."""

    server: "Server"

    def handle(self) -> None:
        with suppress(OSError):
            while line := self.rfile.readline().decode():
                headers = dict(
                    row.split(": ", 1)
                    for row in iter(lambda: self.rfile.readline().decode().strip(), "")
                    if ": " in row
                )
                self.answer(line.split()[0], headers)
                if line.startswith("PLAY"):
                    self.play(self.server.data)
                    return

    def answer(self, method: str, headers: dict[str, str]) -> None:
        body, extra = "", "Session: 1\r\n"
        if method == "OPTIONS":
            extra = "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track1\r\n"
            )
            extra = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        elif method == "SETUP":
            extra += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        self.wfile.write(f"RTSP/1.0 200 OK\r\nCSeq: {headers.get('CSeq', 0)}\r\n{extra}\r\n{body}".encode())

    def play(self, data: bytes) -> None:
        pieces = [data[start : start + PACKETS] for start in range(0, len(data), PACKETS)]
        for number, piece in enumerate(pieces):
            head = struct.pack("!BBHII", 0x80, 33, number & 0xFFFF, 90 * number, 1)
            self.wfile.write(struct.pack("!cBH", b"$", 0, len(head) + len(piece)) + head + piece)
            time.sleep(0.01)


class Server(socketserver.ThreadingTCPServer):
    """The camera; `data` is its film."""

    daemon_threads = True
    data = b""


@contextmanager
def rtsp_camera(frames: int) -> Iterator[str]:
    """Run the camera; yield its URL. It sends the frames to each caller and closes the connection."""
    with Server(("127.0.0.1", 0), Camera) as server:
        server.data = transport_stream(frames)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"rtsp://127.0.0.1:{server.server_address[1]}/live"
        server.shutdown()
