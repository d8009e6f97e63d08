"""An HTTP server on this machine that serves slides, well or badly."""

from __future__ import annotations

import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class SlideServer:
    """What a server serves and how; every setting may be changed while it runs.

    Attributes
    ----------
    url
        Of its root.
    folder
        What it serves.
    ranges
        Whether it gives parts of files.
    seconds
        Before each answer.
    drop_every
        It closes the connection instead of every n-th answer; 0 for never.
    short
        It says how long its answer is, and ends it early, this many times.
    status
        It answers every request with this; 0 for as it should be.
    token
        Only requests that have it in their query or as the password are served.
    tags
        Whether it tells a file from another by an ETag.
    tag
        Added to each ETag.
    tag_from
        Request from which on ETags are others, as of a file that changed; 0 for none.
    served
        Path, first byte and the one behind the last, of each part of a file it gave.
    """

    url: str
    folder: Path
    ranges: bool = True
    seconds: float = 0.0
    drop_every: int = 0
    short: int = 0
    status: int = 0
    token: str = ""
    tags: bool = True
    tag: str = ""
    tag_from: int = 0
    served: list[tuple[str, int, int]] = field(default_factory=list)
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bytes_served(self) -> int:
        """Bytes of files it gave."""
        return sum(stop - start for _, start, stop in self.served)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        there = self.server.settings
        with there.lock:
            there.requests += 1
            if there.requests == there.tag_from:
                there.tag += "changed"
            drops = there.drop_every and there.requests % there.drop_every == 0
        if there.seconds:
            time.sleep(there.seconds)
        if drops:
            self.close_connection = True
            return
        place, _, query = self.path.partition("?")
        file = there.folder / place.lstrip("/")
        if there.status:
            self._empty(there.status)
        elif there.token and there.token not in query + self.headers.get("Authorization", ""):
            self._empty(401)
        else:
            self._answer(place, query, file)

    def _answer(self, place: str, query: str, file: Path) -> None:
        if file.is_file():
            self._give(place, file.read_bytes())
        else:
            self._empty(404)

    def _empty(self, status: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _give(self, place: str, content: bytes) -> None:
        there = self.server.settings
        start, stop = 0, len(content)
        part = self.headers.get("Range") if there.ranges else None
        if part is not None:
            first, last = part.removeprefix("bytes=").split("-")
            start, stop = int(first), min(int(last) + 1, stop)
            if start >= len(content):
                return self._empty(416, Content_Range=f"bytes */{len(content)}")
        self.send_response(200 if part is None else 206)
        if part is not None:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        if there.tags:
            self.send_header("ETag", f'"{hash(content)}{there.tag}"')
        self._send(place, content[start:stop], start)
        return None

    def _send(self, place: str, body: bytes, start: int = 0) -> None:
        """Send the rest of the head, and the body or half of it."""
        there = self.server.settings
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with there.lock:
            there.served.append((place, start, start + len(body)))
            if there.short and len(body) > 1:
                there.short -= 1
                body = body[: len(body) // 2]
                self.close_connection = True
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Write nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    settings: SlideServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Write nothing: clients that leave are meant to."""


@contextmanager
def served(
    folder: Path, *, certificate: bool = False, handler: type[Handler] = Handler
) -> Iterator[SlideServer]:
    """Serve a folder on a free port of this machine; by HTTPS with a certificate of its own."""
    server = _Server(("127.0.0.1", 0), handler)
    scheme = "https" if certificate else "http"
    if certificate:
        server.socket = _own_certificate().wrap_socket(server.socket, server_side=True)
    server.settings = SlideServer(f"{scheme}://127.0.0.1:{server.server_port}", folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.settings
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _own_certificate() -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "server.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(file)
    return context
