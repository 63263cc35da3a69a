"""HTML elements whose text is escaped."""

from __future__ import annotations

import base64
import html
from typing import Any

_VOID = {"img", "input", "meta"}


class Markup(str):
    """Text that is already HTML."""

    __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """Creates an element.

    Args:
        name: Name of the element.
        *children: Content, escaped unless it is `Markup`; None is skipped.
        **attributes: Attributes, escaped. A trailing underscore is dropped (`class_`), other
            underscores become hyphens. True gives an attribute without a value; None and False
            give none.
    """
    given = "".join(
        f" {_attribute(key)}"
        if value is True
        else f' {_attribute(key)}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: Any) -> Markup:
    """Concatenates elements and texts."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(str(child), quote=False)
            for child in children
            if child is not None
        )
    )


def data_uri(content: bytes, media_type: str) -> str:
    """Encodes a file's content as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")
