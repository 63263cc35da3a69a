"""The live page over HTTP: the page, the stream, the counts, and who may see them."""

import http.client
import io
import json
import socket
import threading
import types

import numpy as np
import pytest
from PIL import Image

from efficientvision.errors import UserError
from efficientvision.video import live_page
from efficientvision.video.live_page import LivePage
from efficientvision.video.pipeline import process
from efficientvision.video.reader import Reader
from efficientvision.video.source import VideoSource
from tests.video.made_video import number_of, numbered_picture, write_video


@pytest.fixture
def page():
    with LivePage("a <b>street</b>.mov", port=0) as opened:
        yield opened


def show(page, number, names):
    picture = Image.fromarray(numbered_picture(number, 96, 128))
    page.show(None, picture, types.SimpleNamespace(names=names))


def get(page, path, host=None):
    """Asks for a path; returns the answer, to be read."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
    connection.request("GET", path, headers={"Host": host} if host else {})
    return connection.getresponse()


@pytest.mark.parametrize("path", ["/", "/status.json", "/frame.jpg", "/stream.mjpg", "/missing"])
def test_other_pages_may_not_show_this_one(page, path):
    show(page, 1, ["car"])
    for site, allowed in (("none", True), ("same-origin", True), ("cross-site", False)):
        connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
        connection.request("GET", path, headers={"Sec-Fetch-Site": site})
        answer = connection.getresponse()
        assert (answer.status != 403) == allowed
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        connection.close()
    assert get(page, "/frame.jpg").status == 200  # Programs other than browsers say nothing.


def watch(page):
    """Opens the stream."""
    stream = get(page, "/stream.mjpg")
    assert stream.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
    assert stream.readline() == b"--frame\r\n"
    return stream


def read_part(answer):
    """Reads one picture of an MJPEG stream as a client that knows nothing else."""
    headers = {}
    while (line := answer.readline().strip()) != b"":
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    assert headers["Content-Type"] == "image/jpeg"
    jpeg = answer.read(int(headers["Content-Length"]))
    # The boundary follows at once: browsers show no picture before it.
    assert answer.readline() + answer.readline() == b"\r\n--frame\r\n"
    return np.asarray(Image.open(io.BytesIO(jpeg)))


def test_the_page_comes_whole_and_asks_nobody_else(page):
    answer = get(page, "/")
    text = answer.read().decode()
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert text.endswith("</html>\n") and "stream.mjpg" in text
    assert "http:" not in text and "https:" not in text and "src=" not in text


def test_the_stream_shows_each_new_frame(page):
    show(page, 1, ["cat"])
    stream = watch(page)
    assert number_of(read_part(stream)) == 1
    show(page, 2, ["cat"])
    assert number_of(read_part(stream)) == 2
    assert number_of(np.asarray(Image.open(io.BytesIO(get(page, "/frame.jpg").read())))) == 2


def test_a_viewer_who_comes_early_waits(page):
    threading.Timer(0.2, show, (page, 9, [])).start()
    assert number_of(read_part(watch(page))) == 9


def test_counts_per_class(page):
    for number, names in enumerate([["cat", "dog"], ["cat", "cat", "cat"], ["dog"]]):
        show(page, number, names)
    status = json.loads(get(page, "/status.json").read())
    assert status["name"] == "a <b>street</b>.mov" and status["frames"] == 3
    assert status["classes"] == [
        {"name": "cat", "now": 0, "most": 3, "total": 4},
        {"name": "dog", "now": 1, "most": 1, "total": 2},
    ]
    assert status["rate"] > 0


def test_viewers_get_the_end(page):
    show(page, 1, [])
    stream = watch(page)
    read_part(stream)
    page.__exit__()
    assert stream.read() == b""
    with pytest.raises(ConnectionError):
        get(page, "/")


def test_it_is_seen_from_this_machine_only(page):
    assert page.url == f"http://127.0.0.1:{page.port}/"
    assert page._server.server_address[0] == "127.0.0.1"
    for host, status in [
        (f"localhost:{page.port}", 200),
        ("127.0.0.1:1234", 200),  # Through a tunnel.
        (f"evil.example:{page.port}", 403),
        ("evil.example", 403),
    ]:
        assert get(page, "/status.json", host).status == status, host
    assert get(page, "/../live_page.py").status == 404


def test_a_taken_port_is_told_if_it_was_asked_for(page, monkeypatch):
    with pytest.raises(UserError, match=f"`live_port={page.port}` cannot be used"):
        LivePage("again", page.port)
    with pytest.raises(UserError, match="`live_port=99999` cannot be used"):
        LivePage("again", 99999)
    monkeypatch.setattr(live_page, "_USUAL_PORT", page.port)
    with LivePage("again") as other:
        assert other.port != page.port


def test_the_usual_port(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    monkeypatch.setattr(live_page, "_USUAL_PORT", number)
    with LivePage("first") as page:
        assert page.port == number


def test_a_viewer_who_leaves_harms_nobody(page, capfd):
    show(page, 1, [])
    stream = watch(page)
    read_part(stream)
    stream.close()
    for number in range(30):
        show(page, number, [])
    assert number_of(read_part(watch(page))) == 29
    assert "Traceback" not in capfd.readouterr().err


def test_a_video_is_shown_live_from_end_to_end(tmp_path):
    write_video(tmp_path / "in.mov", frames=12)
    source = VideoSource(str(tmp_path / "in.mov"))
    seen = []
    with Reader(source) as reader, LivePage(source.name, port=0) as page:
        stream = watch(page)

        class Watched:
            """Each frame is looked at before the next one is shown."""

            def show(self, frame, picture, detections):
                page.show(frame, picture, detections)
                seen.append(number_of(read_part(stream)))

        process(
            reader,
            lambda frames: [types.SimpleNamespace(names=["square"]) for _ in frames],
            lambda frame, detections: Image.fromarray(frame),
            [Watched()],
            progress=False,
        )
        assert page.status()["classes"][0] == {"name": "square", "now": 1, "most": 1, "total": 12}
    assert seen == list(range(12))


def test_an_mjpeg_camera_is_read_by_its_url():
    """The page's own stream, as of a camera in the network."""
    with LivePage("camera", port=0) as page:
        ended = threading.Event()

        def feed():
            number = 0
            while not ended.wait(0.02):
                show(page, number % 200, [])
                number += 1

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        source = VideoSource(f"{page.url}stream.mjpg")
        assert source.endless and (source.height, source.width) == (96, 128)
        frames = []
        with Reader(source) as reader:
            for (frame,) in reader.frames.batches():
                frames.append(frame)
                if len(frames) == 8:
                    break
        ended.set()
        feeder.join()
    numbers = [number_of(frame.rgb) for frame in frames]
    assert all(a < b for a, b in zip(numbers, numbers[1:], strict=False))
    times = [frame.pts for frame in frames]
    assert all(a < b for a, b in zip(times, times[1:], strict=False))
