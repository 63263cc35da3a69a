"""Reads the answers of a hub, which is a stranger, within limits."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from efficientvision.errors import UserError

# The list of 100,000 files has about 25 million bytes.
_LIST_BYTES = 32_000_000
_ERROR_BYTES = 65_536
_SECONDS = 30.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Checksums, which name files of the cache; some mirrors add a suffix.
_ETAG = re.compile(r'(?:W/)?"?[\w-]{1,128}"?')
_ODD = re.compile(r"[\x00-\x1f\x7f\\:*?\"<>|]")
_TAGS = ("ETag", "X-Linked-ETag")
_COMMIT_HEADER = "X-Repo-Commit"


@dataclass(frozen=True)
class RepositoryFile:
    """A file in the hub's list.

    Attributes:
        size: Bytes.
        sha256: Checksum of a large file (git-lfs); "": a small one.
        git_sha1: Git's name of a small file, if the hub tells it.
    """

    size: int
    sha256: str = ""
    git_sha1: str = ""


def read_listing(library: Any, repo: str, revision: str) -> tuple[str, dict[str, RepositoryFile]]:
    """Asks the hub for the files of a repository.

    Args:
        library: `huggingface_hub`.
        repo: `user/repo`.
        revision: Branch, tag or commit; "": the main branch.

    Returns:
        The commit, 40 hexadecimal digits; and path in the repository -> file.

    Raises:
        UserError: The answer is too long, or is not a list of files.
    """
    # Unlike `HfApi.model_info`, this does not read an answer of any length into memory.
    end = library.constants.ENDPOINT
    url = f"{end}/api/models/{repo}/revision/{quote(revision or 'main', safe='')}?blobs=true"
    headers = library.utils.build_hf_headers(library_name="efficientvision")
    content = bytearray()
    with library.get_session().stream("GET", url, headers=headers, timeout=_SECONDS) as answer:
        library.utils.hf_raise_for_status(answer)
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > _LIST_BYTES:
                raise UserError(
                    f"hf://{repo}: the hub's list of its files is longer than "
                    f"{_LIST_BYTES // 1_000_000} MB: name a repository of models."
                )
    try:
        table = json.loads(content)
        commit = table["sha"]
        if not _COMMIT.fullmatch(commit):
            raise ValueError(f"commit {commit!r:.60}")
        listed = dict(map(_file, table["siblings"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, UserError):
            raise UserError(f"hf://{repo}: {error}") from error
        raise UserError(
            f"hf://{repo}: the answer of {end} is not a list of files "
            f"({type(error).__name__}: {str(error)[:120]}): check HF_ENDPOINT and the proxy."
        ) from error
    return commit, listed


def _file(entry: dict[str, Any]) -> tuple[str, RepositoryFile]:
    name, large = entry["rfilename"], entry.get("lfs") or {}
    parts = name.split("/")
    if _ODD.search(name) or {"", ".", ".."} & set(parts):
        raise UserError(
            f"the hub lists the file {name[:120]!r}, which would not lie in the repository's "
            "folder: nothing was downloaded."
        )
    size = large.get("size", entry.get("size"))
    sha256, git = large.get("sha256") or "", entry.get("blobId") or ""
    if not isinstance(size, int) or size < 0 or (large and not _SHA256.fullmatch(sha256)):
        raise ValueError(f"size or checksum of {name[:60]!r}")
    return name, RepositoryFile(size, sha256, git if _COMMIT.fullmatch(git) else "")


@contextlib.contextmanager
def watched(library: Any, address: str) -> Iterator[None]:
    """Checks the answers that `huggingface_hub` gets meanwhile, before it uses them.

    Their checksums become names of files, so they must look like checksums; and a text that
    explains an error must be short.

    Args:
        library: `huggingface_hub`.
        address: For messages.

    Raises:
        UserError: A header is not what it should be.
    """
    hooks = library.get_session().event_hooks["response"]

    def check(answer: Any) -> None:
        for name in _TAGS:
            tag = answer.headers.get(name)
            if tag is not None and not _ETAG.fullmatch(tag):
                raise UserError(f"{address}: the hub sent an invalid checksum, {tag[:80]!r}.")
        commit = answer.headers.get(_COMMIT_HEADER)
        if commit is not None and not _COMMIT.fullmatch(commit):
            raise UserError(f"{address}: the hub sent an invalid commit, {commit[:80]!r}.")
        if answer.status_code >= 400:
            answer.stream = _shortened(answer.stream)

    hooks.append(check)
    try:
        yield
    finally:
        hooks.remove(check)


def _shortened(stream: Any) -> Any:
    """The beginning of a stream, no longer than an explanation."""
    import httpx2

    class Beginning(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            left = _ERROR_BYTES
            for chunk in stream:
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    return

        def close(self) -> None:
            stream.close()

    return Beginning()
