"""What --input_video names: a file, a camera by its number, or a stream by its URL."""

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

# Stores of files, which TensorFlow reads; FFmpeg opens every other scheme.
_STORE = re.compile(r"(gs|s3|ram|hdfs|viewfs):/")
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_DEVICE = re.compile(r"\d+|/dev/video\d+")
_DEVICE_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
# A Mac's cameras refuse FFmpeg's usual 29.97 frames/s.
_OPTIONS = {"v4l2": {}, "avfoundation": {"framerate": "30"}, "dshow": {}}
# Before a stream counts as dead: to connect, and between two packets, seconds.
_TIMEOUT = (10.0, 10.0)


# The protocol of an address, also where a slash is missing; one letter is a drive of Windows.
_PROTOCOL = re.compile(r"[a-z][a-z0-9+.-]+:/+", re.IGNORECASE)


class Opened(NamedTuple):
    """An open video.

    Attributes:
        container: to read packets from; its owner closes it.
        name: for messages; without what may be a password, see `without_secrets`.
        endless: a camera or a live stream: its frames are lost if nobody takes them.
    """

    container: InputContainer
    name: str
    endless: bool


def open_address(address: str, closing: ExitStack) -> Opened:
    """Opens a file, camera or stream.

    Args:
        address: a path (also `gs://...`), the number of a camera (`0`), its device file
            (`/dev/video0`), or a URL (`rtsp://...`, `http://...`).
        closing: gets what is to be closed after the video.

    Raises:
        UserError: there is none, or it is no video.
    """
    if _DEVICE.fullmatch(address):
        return _open_camera(address, closing)
    if _URL.match(address) and not _STORE.match(address):
        return _open_url(address, closing)
    return _open_file(address, closing)


def without_secrets(address: str) -> str:
    """An address as it may be shown: protocol, host, and the path as far as it names nothing.

    Cameras take names and passwords before the host, in the query (`?user=a&pwd=b`), and in the
    path (`/user=a_password=b_stream=0`). Passwords hold any character, `@`, `/` and `?` too, so
    what stands before the last `@`, and whatever follows the first `?`, `#`, `;` or `=`, is left
    out whole.
    """
    match = _PROTOCOL.match(address)
    protocol, rest = (match.group(), address[match.end() :]) if match else ("", address)
    if not match and ":" not in rest.rpartition("@")[0]:
        return address  # A file.
    before, _, rest = rest.rpartition("@")
    if "=" in before and re.search(r"[/?#;]", before):
        return f"{protocol}..."  # The @ is part of a password behind the host, or before it.
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
        raise UserError(f"cameras are not known on {sys.platform}: give a file or a URL")
    device = address
    if kind == "v4l2" and address.isdigit():
        device = f"/dev/video{address}"
    elif kind == "dshow":
        # DirectShow knows cameras by their names.
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
    """The cameras of this machine, as far as the system tells."""
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
    # UDP, the first choice otherwise, is lost at most routers.
    options = {"rtsp_flags": "prefer_tcp"} if url.lower().startswith("rtsp") else {}
    try:
        container = closing.enter_context(av.open(url, options=options, timeout=_TIMEOUT))
    except (av.FFmpegError, ValueError) as error:
        # The error itself, with the whole URL, is not shown behind this one.
        raise UserError(f"no video comes from {name} ({_reason(error)})") from None
    return Opened(container, name, endless=container.duration is None)


def _open_file(path: str, closing: ExitStack) -> Opened:
    av = load_av()
    if files.is_folder(path):
        raise UserError(f"{path!r} is a folder, not a video; `input_image` takes folders")
    try:
        if files.is_remote(path):
            if not files.is_file(path):  # Opened, it would be missed only when it is read.
                raise FileNotFoundError(path)
            file = closing.enter_context(files.reading(path))
        else:
            file = files.absolute(path)  # FFmpeg takes 12:30.mov for a protocol named 12.
        container = closing.enter_context(av.open(file))
    except FileNotFoundError as error:
        raise UserError(f"there is no video file {without_secrets(path)!r}") from error
    except av.FFmpegError as error:
        raise UserError(_complaint(path, error)) from error
    return Opened(container, path, endless=False)


def _complaint(path: str, error: Exception) -> str:
    """Why a file is not opened: MOV and MP4 say by their first bytes that they are cut short."""
    av = load_av()
    if not isinstance(error, (av.InvalidDataError, av.EOFError)):
        return f"the video {path!r} cannot be opened ({_reason(error)})"
    if files.size(path) == 0:
        return f"{path!r} is an empty file, not a video"
    with files.reading(path) as file:
        kind = file.read(8)[4:]
    if kind in (b"ftyp", b"wide", b"mdat", b"moov"):
        return (
            f"the video {path!r} was cut short: its index, which stands at the end, is missing; "
            "copy the file again"
        )
    return f"{path!r} is not a video that FFmpeg can read"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
