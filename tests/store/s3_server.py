"""An S3 server on this machine (moto's), which counts requests; and a line to it that can be cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Counted:
    """The server's application, and the requests that it got: method and path."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self.requests: list[tuple[str, str, int]] = []
        """Method, path with its query, bytes of the body."""

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
        size = int(environ.get("CONTENT_LENGTH") or 0)
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"] + query, size))
        return self._app(environ, start)


@contextmanager
def s3_server() -> Iterator[tuple[str, Counted]]:
    """Run a server on a free port; its address, and what it was asked."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        def log(self, *args: Any) -> None:
            pass

    app = Counted(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", app
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Line:
    """A connection to a server that breaks after so many bytes to it, once or for ever."""

    def __init__(self, port: int) -> None:
        self.allowed: float = float("inf")
        """Bytes to the server until all connections break."""
        self.broken = False
        """Whether it stays broken."""
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self.broken:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                for source, sink, up in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._copy, args=(source, sink, up), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(4096):
                if up:
                    self.allowed -= len(piece)
                    if self.allowed < 0:
                        self.allowed = float("inf")
                        break
                sink.sendall(piece)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
