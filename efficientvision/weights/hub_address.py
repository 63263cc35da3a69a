"""Addresses on the Hugging Face Hub. Imports no numerical library."""

from __future__ import annotations

import re
from typing import NamedTuple

from efficientvision.errors import UserError

SCHEME = "hf://"
_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,94}\w)?")
_PULL_REQUEST = re.compile(r"(refs/[a-z]+/[^/]+)(?:/(.*))?")
_FORM = "hf://user/repo, hf://user/repo/file or hf://user/repo@revision"


class HubAddress(NamedTuple):
    """A repository on the hub, or a file or folder in it.

    Attributes:
        repo: `user/repo`.
        path: File or folder in it; "": the repository itself.
        revision: Branch, tag or commit; "": the main branch.
    """

    repo: str
    path: str = ""
    revision: str = ""

    def __str__(self) -> str:
        path = f"/{self.path}" if self.path else ""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{SCHEME}{self.repo}{path}{revision}"


def is_hub_address(path: object) -> bool:
    """Whether a path is an address on the hub."""
    return isinstance(path, str) and path.startswith(SCHEME)


def parse_address(text: str) -> HubAddress:
    """Splits an address into repository, path and revision.

    Args:
        text: `hf://user/repo`, with `/file` or `/folder`, and with `@revision` at the end or, as
            the hub's own tools write it, after the repository.

    Raises:
        UserError: It has another form.
    """
    before, _, after = text.removeprefix(SCHEME).partition("@")
    pieces = before.rstrip("/").split("/")
    if pieces[0] in ("datasets", "spaces", "buckets"):
        raise UserError(f"{text} is no repository of models: expected {_FORM}.")
    repo, path, revision = "/".join(pieces[:2]), "/".join(pieces[2:]), after.strip("/")
    if len(pieces) == 2 and "/" in revision:
        inside = _PULL_REQUEST.fullmatch(revision)
        revision, path = (inside[1], inside[2] or "") if inside else revision.partition("/")[::2]
    sound = len(pieces) >= 2 and all(map(_NAME.fullmatch, pieces[:2]))
    parts = path.split("/") if path else []
    if not sound or {"", ".", ".."} & {*parts, *(revision.split("/") if revision else ())}:
        raise UserError(f"{text} is no address on the hub: expected {_FORM}.")
    if text.endswith("@"):
        raise UserError(f"{text} names no revision after @: expected {_FORM}.")
    return HubAddress(repo, path, revision)
