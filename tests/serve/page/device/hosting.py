"""A plain web server for a static folder, as a visitor of an exported page meets it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


class _Handler(SimpleHTTPRequestHandler):
    headers_too: dict[str, str] = {}  # noqa: RUF012

    def end_headers(self) -> None:
        for name, value in self.headers_too.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def hosted(folder: Path, isolated: bool = False) -> Iterator[str]:
    """Serve a folder on a free port of this machine and yield its address, which ends with a slash.

    Args:
        folder: folder to serve.
        isolated: send the headers without which WebAssembly has one thread.
    """
    handler = type("Handler", (_Handler,), {"headers_too": ISOLATION if isolated else {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
