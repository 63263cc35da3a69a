"""Opens the option `input_video`: a file, a camera by number, or a stream by URL."""

from __future__ import annotations

import itertools
import re
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.video.pyav import load_av

if TYPE_CHECKING:
    from av.container import InputContainer

# File stores, read through TensorFlow; FFmpeg opens all other schemes.
_STORE = re.compile(r"(gs|s3|ram|hdfs|viewfs):/")
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_DEVICE = re.compile(r"\d+|/dev/video\d+")
_DEVICE_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
# A Mac's cameras refuse FFmpeg's usual 29.97 frames/s.
_OPTIONS = {"v4l2": {}, "avfoundation": {"framerate": "30"}, "dshow": {}}
# Timeouts of a stream in seconds: to connect, and between two packets.
_TIMEOUT = (10.0, 10.0)


# The protocol of an address, even if a slash is missing; one letter is a Windows drive.
_PROTOCOL = re.compile(r"[a-z][a-z0-9+.-]+:/+", re.IGNORECASE)


class Opened(NamedTuple):
    """An open video.

    Attributes:
        container: source of packets; closed by its owner.
        name: name for messages, without possible passwords, see `without_secrets`.
        endless: whether it is a camera or live stream, whose frames are lost if not read in time.
    """

    container: InputContainer
    name: str
    endless: bool


def open_address(address: str, closing: ExitStack) -> Opened:
    """Opens a file, camera or stream.

    Args:
        address: a path (also `gs://...`), the number of a camera (`0`), its device file
            (`/dev/video0`), or a URL (`rtsp://...`, `http://...`).
        closing: receives what must be closed after the video.

    Raises:
        UserError: the address does not exist, or is not a video.
    """
    if _DEVICE.fullmatch(address):
        return _open_camera(address, closing)
    if _URL.match(address) and not _STORE.match(address):
        return _open_url(address, closing)
    return _open_file(address, closing)


def without_secrets(address: str) -> str:
    """Returns an address that is safe to show: protocol, host, and the path up to any secret.

    Cameras accept names and passwords before the host, in the query (`?user=a&pwd=b`), and in the
    path (`/user=a_password=b_stream=0`). Passwords may contain any character, even `@`, `/` and
    `?`, so everything before the last `@` and after the first `?`, `#`, `;` or `=` is removed.
    """
    match = _PROTOCOL.match(address)
    protocol, rest = (match.group(), address[match.end() :]) if match else ("", address)
    if not match and ":" not in rest.rpartition("@")[0]:
        return address  # A file.
    before, _, rest = rest.rpartition("@")
    if "=" in before and re.search(r"[/?#;]", before):
        return f"{protocol}..."  # The @ is part of a password after or before the host.
    shown = re.split(r"[?#;]", rest, maxsplit=1)[0]
    folders = shown.split("/")
    kept = list(itertools.takewhile(_names_nothing, folders))
    return protocol + "/".join(kept) + ("/..." if len(kept) < len(folders) or shown != rest else "")


def _names_nothing(part: str) -> bool:
    return not re.search(r"[=&]|%(3d|26|40)", part, re.IGNORECASE)


def _open_camera(address: str, closing: ExitStack) -> Opened:
    av = load_av()
    kind = next((f for p, f in _DEVICE_FORMATS.items() if sys.platform.startswith(p)), None)
    if kind is None:
        raise UserError(f"cameras are not supported on {sys.platform}: use a file or a URL")
    device = address
    if kind == "v4l2" and address.isdigit():
        device = f"/dev/video{address}"
    elif kind == "dshow":
        # DirectShow addresses cameras by name.
        cameras = [d.name for d in _cameras(kind)]
        if int(address) >= len(cameras):
            raise UserError(f"there is no camera {address}: {_found(cameras)}")
        device = f"video={cameras[int(address)]}"
    try:
        container = closing.enter_context(av.open(device, format=kind, options=_OPTIONS[kind]))
    except (av.FFmpegError, ValueError) as error:
        cameras = [f"{d.name} ({d.description})" for d in _cameras(kind)]
        raise UserError(
            f"the camera {device} cannot be opened ({_reason(error)}): {_found(cameras)}"
        ) from error
    return Opened(container, f"camera {address}", endless=True)


def _cameras(kind: str) -> list[Any]:
    """The cameras of this machine that the system lists."""
    av = load_av()
    try:
        devices = av.enumerate_input_devices(kind)
    except (av.FFmpegError, ValueError):
        return []
    return [d for d in devices if not d.media_types or "video" in d.media_types]


def _found(cameras: list[str]) -> str:
    return f"found {', '.join(cameras)}" if cameras else "no camera was found"


def _open_url(url: str, closing: ExitStack) -> Opened:
    av = load_av()
    name = without_secrets(url)
    # FFmpeg's default is UDP, which most routers drop.
    options = {"rtsp_flags": "prefer_tcp"} if url.lower().startswith("rtsp") else {}
    try:
        container = closing.enter_context(av.open(url, options=options, timeout=_TIMEOUT))
    except (av.FFmpegError, ValueError) as error:
        # The original error, which contains the whole URL, is not chained.
        raise UserError(f"cannot read video from {name} ({_reason(error)})") from None
    return Opened(container, name, endless=container.duration is None)


def _open_file(path: str, closing: ExitStack) -> Opened:
    av = load_av()
    if files.is_folder(path):
        raise UserError(f"{path!r} is a folder, not a video; `input_image` takes folders")
    try:
        if files.is_remote(path):
            if not files.is_file(path):  # Opening it would fail only at the first read.
                raise FileNotFoundError(path)
            file = closing.enter_context(files.reading(path))
        else:
            file = files.absolute(path)  # FFmpeg would read 12:30.mov as a protocol named 12.
        container = closing.enter_context(av.open(file))
    except FileNotFoundError as error:
        raise UserError(f"there is no video file {without_secrets(path)!r}") from error
    except av.FFmpegError as error:
        raise UserError(_complaint(path, error)) from error
    return Opened(container, path, endless=False)


def _complaint(path: str, error: Exception) -> str:
    """Explains why a file cannot be opened; truncated MOV and MP4 have telling first bytes."""
    av = load_av()
    if not isinstance(error, (av.InvalidDataError, av.EOFError)):
        return f"the video {path!r} cannot be opened ({_reason(error)})"
    if files.size(path) == 0:
        return f"{path!r} is an empty file, not a video"
    with files.reading(path) as file:
        kind = file.read(8)[4:]
    if kind in (b"ftyp", b"wide", b"mdat", b"moov"):
        return (
            f"the video {path!r} is truncated: the index at its end is missing; copy the file again"
        )
    return f"{path!r} is not a video that FFmpeg can read"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
