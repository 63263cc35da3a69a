"""A local web page that shows a running video with counts per class."""

from __future__ import annotations

import io
import json
import threading
from collections import Counter, deque
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files as resources
from time import monotonic
from typing import Any

from PIL import Image

from efficientvision.errors import UserError
from efficientvision.video.source import Frame

# Local only: a camera's pictures are private.
_ADDRESS = "127.0.0.1"
_USUAL_PORT = 8765
_OWN_NAMES = (_ADDRESS, "localhost")
# Values of Sec-Fetch-Site for requests by this page or by the user.
_OWN_REQUESTS = ("same-origin", "none")
_JPEG_QUALITY = 80
_BOUNDARY = "frame"
# Number of frames over which the rate is averaged.
_RATE_FRAMES = 30
# Interval in seconds at which a waiting viewer checks whether the video has ended.
_LOOK_SECONDS = 0.5


class LivePage:
    """Serves the latest frame and counts per class; leaving the context stops the server.

    `/` is the page, `/stream.mjpg` the video as an MJPEG stream, `/frame.jpg` the latest frame,
    `/status.json` the counts. A slow viewer misses frames but does not delay others.

    Args:
        name: name of the video, shown on the page.
        port: port on 127.0.0.1; 0: any free port; None: 8765, or any free port if that is taken.

    Attributes:
        url: address of the page.
        port: the port in use.

    Raises:
        UserError: the port is in use or not allowed.
    """

    def __init__(self, name: str, port: int | None = None):
        self._name = name
        self._changed = threading.Condition()
        self._jpeg = b""
        self._frames = 0
        self._ended = False
        self._times: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._now: Counter[str] = Counter()
        self._most: Counter[str] = Counter()
        self._total: Counter[str] = Counter()
        self._server = self._listen(port)
        self.port: int = self._server.server_port
        self.url = f"http://{_ADDRESS}:{self.port}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="live page", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> LivePage:
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def show(self, frame: Frame, picture: Image.Image, detections: Any) -> None:
        """Shows a frame's picture and counts its detections."""
        del frame
        encoded = io.BytesIO()
        picture.save(encoded, format="JPEG", quality=_JPEG_QUALITY)
        now = Counter(detections.names)
        with self._changed:
            self._jpeg = encoded.getvalue()
            self._frames += 1
            self._times.append(monotonic())
            self._now = now
            self._most |= now
            self._total += now
            self._changed.notify_all()

    def newest(self, seen: int = 0) -> tuple[int, bytes] | None:
        """Waits for a frame after number `seen`.

        Returns:
            Number (1, 2, ...) and JPEG of the latest frame; None: the video has ended.
        """
        with self._changed:
            while self._frames <= seen and not self._ended:
                self._changed.wait(_LOOK_SECONDS)
            return (self._frames, self._jpeg) if self._frames > seen else None

    def status(self) -> dict[str, Any]:
        """Returns the state of the video.

        Returns:
            `name`, `frames` so far, `rate` (recent frames/s), and `classes`, most frequent first,
            each with its `name`, its number in the current frame (`now`), its maximum in one frame
            (`most`), and its `total` over all frames.
        """
        with self._changed:
            times = list(self._times)
            passed = times[-1] - times[0] if len(times) > 1 else 0.0
            return {
                "name": self._name,
                "frames": self._frames,
                "rate": (len(times) - 1) / passed if passed else 0.0,
                "classes": [
                    {"name": n, "now": self._now[n], "most": self._most[n], "total": total}
                    for n, total in self._total.most_common()
                ],
            }

    def _listen(self, port: int | None) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"page": self})
        try:
            return ThreadingHTTPServer((_ADDRESS, _USUAL_PORT if port is None else port), handler)
        except (OSError, OverflowError) as error:
            if port is None:
                return ThreadingHTTPServer((_ADDRESS, 0), handler)
            reason = getattr(error, "strerror", None) or error
            raise UserError(
                f"`live_port={port}` cannot be used ({reason}): choose another port, or 0 for any "
                "free one"
            ) from error


class _Handler(BaseHTTPRequestHandler):
    """Handles the requests of one browser."""

    page: LivePage

    def do_GET(self) -> None:
        # Browsers mark requests by foreign pages that embed this one or its pictures.
        if self.headers.get("Sec-Fetch-Site", "none") not in _OWN_REQUESTS:
            self.send_error(HTTPStatus.FORBIDDEN, "Open this address directly")
            return
        # DNS rebinding: a foreign page whose host name points here must not see the camera.
        if self.headers.get("Host", "").rpartition(":")[0] not in _OWN_NAMES:
            self.send_error(HTTPStatus.FORBIDDEN, "Use the host name localhost")
            return
        answer = {
            "/": self._page,
            "/status.json": self._status,
            "/frame.jpg": self._frame,
            "/stream.mjpg": self._stream,
        }.get(self.path.partition("?")[0])
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            answer()
        except ConnectionError:
            pass  # The viewer has disconnected.

    def end_headers(self) -> None:
        """Adds headers that forbid other pages to embed the response."""
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        """Logs nothing: the terminal shows the progress bar."""

    def _page(self) -> None:
        html = resources("efficientvision.video").joinpath("live.html").read_bytes()
        self._send("text/html; charset=utf-8", html)

    def _status(self) -> None:
        self._send("application/json", json.dumps(self.page.status()).encode("utf8"))

    def _frame(self) -> None:
        newest = self.page.newest()
        if newest is None:
            self.send_error(HTTPStatus.NOT_FOUND, "The video ended without a frame")
        else:
            self._send("image/jpeg", newest[1])

    def _stream(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        # Browsers show a frame once they see the boundary after it, so that is sent at once.
        boundary = f"--{_BOUNDARY}\r\n".encode("ascii")
        self.wfile.write(boundary)
        seen = 0
        while (newest := self.page.newest(seen)) is not None:
            seen, jpeg = newest
            headers = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(headers.encode("ascii") + jpeg + b"\r\n" + boundary)

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)
