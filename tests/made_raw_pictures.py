"""Picture files that Pillow cannot write: greys of few bits, several channels of 16 bits."""

import struct
import zlib

import numpy as np

_GREY, _RGB = 0, 2


def grey_png(values: np.ndarray, bits: int) -> bytes:
    """A grey PNG of 1, 2, 4, 8 or 16 bits a pixel that holds `values` [h, w] as they are."""
    height, width = values.shape
    rows = []
    for row in values.tolist():
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(b"\0" + int(text, 2).to_bytes(len(text) // 8, "big"))
    return _png(width, height, bits, _GREY, b"".join(rows))


def rgb_png_of_16_bits(values: np.ndarray) -> bytes:
    """An RGB PNG of 16 bits a channel; `values` uint16 [h, w, 3]."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return _png(width, height, 16, _RGB, rows)


def _png(width: int, height: int, bits: int, kind: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
