"""Reads values from JSON that other programs wrote: ids, numbers, flags and text in any form."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

from efficientvision import files
from efficientvision.errors import UserError

HALVED = "texts with half a character (replaced by U+FFFD)"
_SURROGATE = re.compile("[\ud800-\udfff]")


def load_json(path: str, notes: Counter | None = None) -> Any:
    """Reads a JSON file.

    Args:
        path: Path of the file.
        notes: Counts the texts that had to be changed.

    Raises:
        UserError: The file is missing or is not JSON.
    """
    try:
        text = files.read_text(path)
        content = json.loads(text)
        # Programs that cut text in UTF-16 may leave half an emoji, which no file can store.
        if "\\ud" in text or "\\uD" in text:
            return _without_halves(content, Counter() if notes is None else notes)
        return content
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(f"{path} is not valid JSON: {reason}.") from error


def _without_halves(value: Any, notes: Counter) -> Any:
    if isinstance(value, str):
        whole = _SURROGATE.sub("\ufffd", value)
        if whole != value:
            notes[HALVED] += 1
        return whole
    if isinstance(value, list):
        return [_without_halves(item, notes) for item in value]
    if isinstance(value, dict):
        return {
            _without_halves(key, notes): _without_halves(item, notes) for key, item in value.items()
        }
    return value


def read_json(path: str, *required: str, notes: Counter | None = None) -> dict:
    """Reads an annotation file unchanged; `notes` as for `load_json`.

    Raises:
        UserError: The file is missing, is not JSON, or lacks one of the required lists.
    """
    content = load_json(path, notes)
    for key in required:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f"{path} has no list {key!r}; is it a COCO annotation file?")
    return content


def plain_id(value: Any) -> int | str | None:
    """An id: int for a number or its plain text, other text unchanged; None if it is invalid."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int):
        return value
    if isinstance(value, str) and (text := value.strip()):
        # 007 is not the same id as 7.
        is_number = text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) < 20
        return int(text) if is_number and str(int(text)) == text else text
    return None


def number_of(value: Any, where: str) -> float | None:
    """Converts a number or its text; null and empty text give None."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if isinstance(value, (int, float, str)):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise UserError(f"{where} must be a number, got {short(value)}.")


def flag_of(value: Any, where: str) -> int:
    """Converts a number, a boolean or the text of either to 0 or 1."""
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return int(value.strip().lower() == "true")
    parsed = number_of(value, where)
    return int(parsed is not None and not math.isnan(parsed) and parsed != 0)


def field_of(entry: Any, key: str, where: str) -> Any:
    """Returns a field of an entry, None if absent; an entry that is not an object is an error."""
    if not isinstance(entry, dict):
        raise UserError(f"{where} must be an object with {key!r}, got {short(entry)}.")
    return entry.get(key)


def called(entry: Any, position: int) -> str:
    """Names an entry in an error: by its id, or by its position in the list."""
    entry_id = entry.get("id") if isinstance(entry, dict) else None
    return f"number {position + 1}" if entry_id is None else f"{short(entry_id)}"


def short(value: Any) -> str:
    """Shortens a value for an error."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
