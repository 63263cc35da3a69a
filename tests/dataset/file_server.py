"""A small HTTP server for tests of downloads: ranges, broken connections, logins, a drive."""

import base64
import contextlib
import hashlib
import http.server
import re
import threading
import urllib.parse
from dataclasses import dataclass, field

PAGE = b"<!DOCTYPE html><html><body>Please log in.</body></html>"


@dataclass
class File:
    """What is served under a path.

    Attributes:
        content: the bytes.
        cuts: so many answers break off after `cut_bytes`.
        cut_bytes: of an answer that breaks off.
        kind: Content-Type.
        publishes_md5: whether a header has the checksum, as Google's storage does.
        md5_of: bytes whose checksum that is; None: the content's.
        name: of Content-Disposition.
        needs_cookie: a page comes instead without this cookie.
        takes_ranges: whether the server can begin in the middle.
        etag: changes when the file does.
    """

    content: bytes
    cuts: int = 0
    cut_bytes: int = 0
    kind: str = "application/octet-stream"
    publishes_md5: bool = False
    md5_of: bytes | None = None
    name: str | None = None
    needs_cookie: str | None = None
    takes_ranges: bool = True
    etag: str | None = None


@dataclass
class Server:
    """Address, files by path (with the query), what was asked for, and what was posted."""

    url: str = ""
    files: dict[str, File] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    posted: list[dict[str, list[str]]] = field(default_factory=list)

    def downloads(self) -> list[tuple[str, str | None]]:
        """(path, range) of every GET so far."""
        return [(path, wanted) for method, path, wanted in self.asked if method == "GET"]


@contextlib.contextmanager
def serving():
    """Runs a server on a free port of this machine."""
    server = Server()
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    server.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def _handler(server: Server):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self._answer(with_body=False)

        def do_GET(self):
            self._answer(with_body=True)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            given = urllib.parse.parse_qs(body)
            server.posted.append(given)
            self.send_response(200)
            if given.get("password") == ["se cret&1"]:
                self.send_header("Set-Cookie", "session=open; Path=/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _answer(self, *, with_body):
            wanted = self.headers.get("Range")
            server.asked.append((self.command, self.path, wanted))
            file = server.files.get(self.path)
            if file is None:
                self.send_error(404)
                return
            if file.needs_cookie and file.needs_cookie not in (self.headers.get("Cookie") or ""):
                file = File(PAGE, kind="text/html; charset=utf-8")
            content, size = file.content, len(file.content)
            start, end = 0, size
            if self.headers.get("If-Range") not in (None, file.etag):
                wanted = None
            if wanted and file.takes_ranges:
                first, last = re.match(r"bytes=(\d+)-(\d*)", wanted).groups()
                start, end = int(first), min(int(last) + 1 if last else size, size)
                if start >= size:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{size}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            else:
                self.send_response(200)
            self.send_header("Content-Type", file.kind)
            self.send_header("Content-Length", str(end - start))
            if file.etag:
                self.send_header("ETag", file.etag)
            if file.name:
                self.send_header("Content-Disposition", f'attachment; filename="{file.name}"')
            if file.publishes_md5:
                digest = hashlib.md5(file.md5_of or content).digest()
                encoded = base64.b64encode(digest).decode()
                self.send_header("x-goog-hash", "crc32c=AAAAAA==")
                self.send_header("x-goog-hash", f"md5={encoded}")
            if with_body and file.cuts > 0:
                file.cuts -= 1
                end = min(end, start + file.cut_bytes)
                self.close_connection = True
            self.end_headers()
            if with_body:
                self.wfile.write(content[start:end])

    return Handler
