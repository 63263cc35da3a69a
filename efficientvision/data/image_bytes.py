"""What the bytes of a picture file say without decoding it."""

from __future__ import annotations

import re
import zlib

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (PNG_SIGNATURE, "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
)
_PNG_DEPTH_AT = 24
# The next marker inside of entropy-coded data: no stuffed byte, no restart, no filling.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# Modes of Pillow from whose files TensorFlow decodes the RGB that Pillow converts to.
_PLAIN_MODES = {"jpeg": {"L", "RGB"}, "png": {"1", "L", "LA", "P", "RGB", "RGBA"}}


def sniff_format(encoded: bytes) -> str | None:
    """The format by the first bytes: "jpeg", "png", "gif", "bmp", "tiff", "webp"; None: another."""
    for signature, name in _SIGNATURES:
        if encoded.startswith(signature):
            return name
    return "webp" if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP" else None


def png_depth(encoded: bytes) -> int | None:
    """Bits a channel of a PNG file; None of another format."""
    is_png = encoded.startswith(PNG_SIGNATURE) and len(encoded) > _PNG_DEPTH_AT
    return encoded[_PNG_DEPTH_AT] if is_png else None


def is_whole_jpeg(encoded: bytes) -> bool:
    """Whether a JPEG file goes on to its end marker; what follows that does not matter."""
    position = 2
    while position + 4 <= len(encoded):
        if encoded[position] != 0xFF:
            return False
        marker = encoded[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == _END_OF_IMAGE:
            return True
        position += 2 + int.from_bytes(encoded[position + 2 : position + 4], "big")
        if marker == _START_OF_SCAN:
            following = _JPEG_MARKER.search(encoded, position)
            if following is None:
                return False
            position = following.start()
    return encoded[position : position + 2] == bytes((0xFF, _END_OF_IMAGE))


def is_whole_png(encoded: bytes) -> bool:
    """Whether all chunks of a PNG file have their checksums, and the last one ends it."""
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(encoded):
        length = int.from_bytes(encoded[position : position + 4], "big")
        kind = encoded[position + 4 : position + 8]
        end = position + 8 + length
        if int.from_bytes(encoded[end : end + 4], "big") != zlib.crc32(encoded[position + 4 : end]):
            return False
        if kind == b"IEND":
            return True
        position = end + 4
    return False


def decodes_alike(encoded: bytes, mode: str) -> bool:
    """Whether TensorFlow decodes a file to the RGB pixels that Pillow gives.

    Args:
        encoded: the file's bytes.
        mode: what Pillow calls its kind of pixels.
    """
    image_format = sniff_format(encoded)
    if mode not in _PLAIN_MODES.get(image_format, ()):
        return False
    if image_format == "jpeg":
        return is_whole_jpeg(encoded)
    return png_depth(encoded) != 16 and is_whole_png(encoded)
