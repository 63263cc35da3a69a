"""Names of files and classes, in the one form in which they are compared, stored and drawn.

Names come from file systems, tables and label maps of any maker. A record and a JSON file hold
UTF-8, and a label on a picture is one line.
"""

from __future__ import annotations

import re
import unicodedata

ESCAPED = "photos whose path is not UTF-8 (its other bytes are written as \\x..)"

_SURROGATES = re.compile("[\ud800-\udfff]")
_LINE_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# Python keeps byte 0xNN of a name that is not UTF-8 as this much more.
_BYTES_FROM = 0xDC00


def is_utf8(text: str) -> bool:
    """Whether a name can be written as UTF-8; file names of Linux need not be."""
    return _SURROGATES.search(text) is None


def printable(text: str) -> str:
    """The name, with what is no UTF-8 escaped: `caf\\xe9.png`."""
    return text if is_utf8(text) else _SURROGATES.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    byte = code - _BYTES_FROM
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else f"\\u{code:04x}"


def composed(text: str) -> str:
    """A name in the one form of Unicode that is compared: macOS writes accents apart (NFD)."""
    return unicodedata.normalize("NFC", printable(text))


def one_line(text: str) -> str:
    """A name with blanks for line breaks and tabs, as cells of spreadsheets have them."""
    return _LINE_BREAKS.sub(" ", text)


def class_name(text: str) -> str:
    """The name of a class as records, label maps and reports have it."""
    return one_line(composed(text)).strip()


def spellings(name: str) -> list[str]:
    """The names that a list may mean: composed or not, and with Windows' slashes turned."""
    names = [name, name.replace("\\", "/")]
    names += [unicodedata.normalize(form, n) for n in names for form in ("NFC", "NFD")]
    return list(dict.fromkeys(names))
