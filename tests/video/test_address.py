"""What is shown of a camera's address: never its password, whatever that holds."""

import random

import pytest

from efficientvision.errors import UserError
from efficientvision.video.address import without_secrets
from efficientvision.video.source import VideoSource


@pytest.mark.parametrize(
    "address, shown",
    [
        ("rtsp://cam:554/street/1", "rtsp://cam:554/street/1"),
        ("rtsp://admin:secret@cam:554/street", "rtsp://cam:554/street"),
        ("rtsp://admin:P@ssw0rd@cam/street", "rtsp://cam/street"),
        ("rtsp://admin:pa/ss@cam/street", "rtsp://cam/street"),
        ("rtsp://admin:pa?ss#w;ord@cam/street", "rtsp://cam/street"),
        ("rtsp://admin:secret@[::1]:554/a", "rtsp://[::1]:554/a"),
        ("http://cam/video.cgi?user=admin&pwd=secret", "http://cam/video.cgi/..."),
        ("http://cam/video?token=secret", "http://cam/video/..."),
        ("http://cam/?pass=a&b=se@cret", "http://..."),
        ("http://cam/video#secret", "http://cam/video/..."),
        ("http://cam/video;password=secret", "http://cam/video/..."),
        ("rtsp://cam:554/user=admin_password=secret_channel=1.sdp", "rtsp://cam:554/..."),
        ("rtsp://cam/live/user%3Dadmin&pwd%3Dsecret/1", "rtsp://cam/live/..."),
        ("rtsp://cam/user=admin&password=se@cret", "rtsp://..."),
        ("rtsp://admin:a=b/c@cam/street", "rtsp://..."),
        ("rtsp://admin:a=b@cam/street", "rtsp://cam/street"),
        ("RTSP://admin:secret@cam/a", "RTSP://cam/a"),
        ("rtsp:/admin:secret@cam/a", "rtsp:/cam/a"),
        ("admin:secret@192.168.1.5/a", "192.168.1.5/a"),
        ("video@home.mov", "video@home.mov"),
        ("/videos/12:30.mov", "/videos/12:30.mov"),
        ("C:/videos/a.mov", "C:/videos/a.mov"),
    ],
)
def test_what_is_shown(address, shown):
    assert without_secrets(address) == shown


def test_no_password_survives_whatever_it_holds():
    """A thousand passwords of odd characters, where cameras take them."""
    chance = random.Random(5)
    places = (
        "rtsp://admin:{}@cam:554/street",
        "http://cam/video.cgi?user=admin&pwd={}",
        "http://cam/video.cgi?password={}&channel=1",
        "rtsp://cam/user=admin&password={}&channel=1.sdp",
        "rtsp:/admin:{}@cam/street",
    )
    for _ in range(1000):
        odd = "".join(chance.choices("@/?#:;&=%+ .\\\"'<>[]{}|~$!*(),ä", k=chance.randrange(1, 6)))
        parts = ["Geheim", odd, "Wort"]
        password = "".join(parts)
        shown = without_secrets(chance.choice(places).format(password.replace("{", "")))
        assert "Geheim" not in shown
        assert "Wort" not in shown


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://me:se@cr/et@127.0.0.1:9/door",
        "http://127.0.0.1:9/video?user=me&pwd=secret",
        "rtsp:/me:secret@127.0.0.1:9/door",
        "me:secret@127.0.0.1/door",
        "nosuchprotocol://me:secret@127.0.0.1/door",
    ],
)
def test_errors_hold_no_password(address):
    with pytest.raises(UserError) as caught:
        VideoSource(address)
    sentence = str(caught.value)
    assert "se@cr" not in sentence and "secret" not in sentence and "cr/et" not in sentence
