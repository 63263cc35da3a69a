"""Facts about a picture file that its bytes give without decoding."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

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
BITS_PER_SAMPLE = 258  # TIFF tag.
_PNM_SPACE = rb"(?:\s|#[^\n]*\n)+"
_PNM_HEADER = re.compile(rb"P[2356]" + (_PNM_SPACE + rb"\d+") * 2 + _PNM_SPACE + rb"(\d+)")
# HEIF brands of HEVC-coded stills and sequences, and those that do not state the codec.
_HEIF_BRANDS = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1".split())
# Pillow modes for which TensorFlow decodes a file to the RGB that Pillow converts to.
_PLAIN_MODES = {"jpeg": {"L", "RGB"}, "png": {"1", "L", "LA", "P", "RGB", "RGBA"}}


def sniff_format(encoded: bytes) -> str | None:
    """Format by the first bytes: "jpeg", "png", "gif", "bmp", "tiff", "webp"; None if another."""
    for signature, name in _SIGNATURES:
        if encoded.startswith(signature):
            return name
    return "webp" if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP" else None


def png_depth(encoded: bytes) -> int | None:
    """Bits a channel of a PNG file; None for other formats."""
    is_png = encoded.startswith(PNG_SIGNATURE) and len(encoded) > _PNG_DEPTH_AT
    return encoded[_PNG_DEPTH_AT] if is_png else None


def is_whole_png(encoded: bytes) -> bool:
    """Whether all chunks of a PNG file have valid checksums, and the last one ends it."""
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


def is_heif(encoded: bytes) -> bool:
    """Whether a file is a HEIC photo, which phones take."""
    return encoded[4:8] == b"ftyp" and encoded[8:12] in _HEIF_BRANDS


def pnm_maximum(encoded: bytes) -> int | None:
    """Sample value of white in a PGM or PPM file; None for other formats."""
    header = _PNM_HEADER.match(encoded)
    return int(header[1]) if header else None


def bit_depth(encoded: bytes, tiff_tags: Mapping[int, Any]) -> int:
    """Bits a channel of a PNG, PGM, PPM or TIFF file; 8 for other formats."""
    depth = png_depth(encoded) or (pnm_maximum(encoded) or 0).bit_length()
    return depth or max(tiff_tags.get(BITS_PER_SAMPLE, (8,)))


def decodes_alike(encoded: bytes, mode: str) -> bool:
    """Whether TensorFlow decodes a whole file to the same RGB pixels as Pillow.

    Args:
        encoded: Bytes of the file.
        mode: Pillow's mode of the picture.
    """
    return mode in _PLAIN_MODES.get(sniff_format(encoded), ()) and png_depth(encoded) != 16
