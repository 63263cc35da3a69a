"""Brings names of files and classes to the one form that is compared, stored and drawn.

Names come from all kinds of file systems, tables and label maps. Records and JSON files store
UTF-8, and a label on a picture is one line.
"""

from __future__ import annotations

import re
import unicodedata

ESCAPED = "photos whose path is not UTF-8 (its other bytes are written as \\x..)"

_SURROGATES = re.compile("[\ud800-\udfff]")
_LINE_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# Python adds this to byte 0xNN of a name that is not UTF-8.
_BYTES_FROM = 0xDC00


def is_utf8(text: str) -> bool:
    """Whether a name can be written as UTF-8; file names on Linux need not be."""
    return _SURROGATES.search(text) is None


def printable(text: str) -> str:
    """Escapes the bytes of a name that are not UTF-8: `caf\\xe9.png`."""
    return text if is_utf8(text) else _SURROGATES.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    byte = code - _BYTES_FROM
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else f"\\u{code:04x}"


def composed(text: str) -> str:
    """Normalises a name to composed Unicode for comparison; macOS stores accents apart (NFD)."""
    return unicodedata.normalize("NFC", printable(text))


def one_line(text: str) -> str:
    """Replaces line breaks and tabs, which cells of spreadsheets may contain, by spaces."""
    return _LINE_BREAKS.sub(" ", text)


def class_name(text: str) -> str:
    """Returns the name of a class as records, label maps and reports store it."""
    return one_line(composed(text)).strip()


def spellings(name: str) -> list[str]:
    """Returns the names that a list may mean: composed or not, with Windows' slashes turned."""
    names = [name, name.replace("\\", "/")]
    names += [unicodedata.normalize(form, n) for n in names for form in ("NFC", "NFD")]
    return list(dict.fromkeys(names))
