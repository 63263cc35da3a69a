"""Photos of more than 8 bits a channel: the range that a file has, states, or usually means."""

import struct

import numpy as np
import pytest

from efficientvision.data import photos
from efficientvision.data.image_bytes import bit_depth, pnm_maximum

GREY = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)
SHORT, LONG, FLOAT = 3, 4, 11
BLACK_IS_ZERO, WHITE_IS_ZERO = 1, 0
UNSIGNED, SIGNED, FLOATING = 1, 2, 3


def tiff(data, bits, *tags, photometric=BLACK_IS_ZERO, sample_format=UNSIGNED):
    """An uncompressed TIFF file; tags: (number, type, value)."""
    height, width = GREY.shape
    entries = [
        (256, LONG, width),
        (257, LONG, height),
        (258, SHORT, bits),
        (259, SHORT, 1),
        (262, SHORT, photometric),
        (273, LONG, None),
        (277, SHORT, 1),
        (278, LONG, height),
        (279, LONG, len(data)),
        (339, SHORT, sample_format),
        *tags,
    ]
    place = 8 + 2 + 12 * len(entries) + 4
    file = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for number, kind, value in sorted(entries, key=lambda entry: entry[0]):
        form = {SHORT: "<HHIHxx", LONG: "<HHII", FLOAT: "<HHIf"}[kind]
        file += struct.pack(form, number, kind, 1, place if value is None else value)
    return file + bytes(4) + data


def of_twelve_bits():
    pairs = GREY.astype(int).reshape(-1, 2) << 4
    return b"".join(((a << 12) | b).to_bytes(3, "big") for a, b in pairs.tolist())


def shown(encoded):
    stored = photos.store_photo(encoded, "a photo")
    assert stored.notes == (photos.REDUCED,) and stored.image_format == "png"
    image = photos.decode_photo(stored.encoded, "the stored photo").image
    np.testing.assert_array_equal(image, photos.decode_photo(encoded, "a photo").image)
    return np.asarray(image)[..., 0].astype(int)


@pytest.mark.parametrize(
    ("encoded", "tolerance"),
    [
        (tiff(of_twelve_bits(), 12), 0),
        (tiff((GREY.astype("<u2") << 4).tobytes(), 16, (280, 3, 0), (281, 3, 4095)), 1),
        (tiff((GREY.astype("<u2") * 257).tobytes(), 16, (280, 3, 0), (281, 3, 65535)), 0),
        # Statistics that are not of this picture.
        (tiff((GREY.astype("<u2") * 257).tobytes(), 16, (280, 3, 9), (281, 3, 20)), 0),
        (tiff((65535 - GREY.astype("<u2") * 257).tobytes(), 16, photometric=WHITE_IS_ZERO), 0),
        (tiff((GREY.astype("<i2") * 128).tobytes(), 16, sample_format=SIGNED), 1),
        (tiff(GREY.astype("<i2").tobytes(), 16, sample_format=SIGNED), 0),
        (tiff((GREY / np.float32(255)).astype("<f4").tobytes(), 32, sample_format=FLOATING), 0),
        (
            tiff(
                (1 - GREY / np.float32(255)).astype("<f4").tobytes(),
                32,
                sample_format=FLOATING,
                photometric=WHITE_IS_ZERO,
            ),
            0,
        ),
        (b"P5\n20 12\n65535\n" + (GREY.astype(">u2") * 257).tobytes(), 0),
        (b"P5 20 12 4095 " + (GREY.astype(np.uint16) << 4).astype(">u2").tobytes(), 1),
        (b"P5\n# dark\n20 12\n65535\n" + GREY.astype(">u2").tobytes(), None),
    ],
)
def test_greys(encoded, tolerance):
    expected = GREY if tolerance is not None else np.zeros_like(GREY)
    assert np.abs(shown(encoded) - expected).max() <= (tolerance or 0)


def test_colours_of_sixteen_bits_are_counted():
    pixels = np.random.default_rng(0).integers(0, 65536, (12, 20, 3))
    data = pixels.astype("<u2").tobytes()
    entries = [
        (256, SHORT, 1, 20), (257, SHORT, 1, 12), (258, SHORT, 3, 8), (259, SHORT, 1, 1),
        (262, SHORT, 1, 2), (273, LONG, 1, 14), (277, SHORT, 1, 3), (278, SHORT, 1, 12),
        (279, LONG, 1, len(data)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", *entry) for entry in entries
    )
    depths = struct.pack("<HHH", 16, 16, 16)
    encoded = b"II*\0" + struct.pack("<I", 14 + len(data)) + depths + data + directory + bytes(4)
    assert (shown(encoded) == pixels[..., 0] >> 8).all()
    ppm = b"P6 20 12 65535 " + pixels.astype(">u2").tobytes()
    # Pillow rounds the samples of such files.
    assert np.abs(shown(ppm) - pixels[..., 0] / 257).max() <= 0.5


def test_negative_samples_are_refused():
    encoded = tiff((GREY.astype("<i2") - 9).tobytes(), 16, sample_format=SIGNED)
    with pytest.raises(photos.UnreadablePhoto, match=r"from -9 to 230, outside .*0\.\.32767"):
        photos.store_photo(encoded, "a photo")


def test_depths_by_the_bytes():
    assert pnm_maximum(b"P5\n# a comment\n2 3\n4095\n") == 4095
    assert pnm_maximum(b"P4 2 3 ") is pnm_maximum(b"text") is None
    assert bit_depth(b"P6 2 3 65535 ", {}) == 16 and bit_depth(b"P6 2 3 255 ", {}) == 8
    assert bit_depth(b"II*\0", {258: (16, 16, 16)}) == 16 and bit_depth(b"\xff\xd8\xff", {}) == 8
