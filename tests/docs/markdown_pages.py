"""The pages of the documentation, taken apart: headings, links, blocks of code, commands."""

from __future__ import annotations

import functools
import hashlib
import pathlib
import re
import shlex
from typing import NamedTuple

from docs.generate.__main__ import pages as generated_pages
from docs.generate.options import declared_flags
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
README = REPOSITORY / "README.md"
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.M | re.S)
_LINK = re.compile(r"\[(?:[^\]\[]|!\[[^\]]*\]\([^)]*\))*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A block of code, of the language that its fence names."""

    page: str
    language: str
    text: str

    @property
    def id(self) -> str:
        """Changes with the text."""
        return hashlib.sha1(self.text.encode()).hexdigest()[:8]


@functools.cache
def written_pages() -> dict[str, str]:
    """Path from the root -> text of each page that is written by hand."""
    paths = [*sorted(REPOSITORY.glob("*.md")), *sorted(DOCS.glob("*.md"))]
    return {str(path.relative_to(REPOSITORY)): path.read_text("utf8") for path in paths}


@functools.cache
def all_pages() -> dict[str, str]:
    """The same, and the pages that `make docs` generates."""
    made = {f"docs/reference/{name}": text for name, text in generated_pages().items()}
    return {**written_pages(), **made}


def blocks(page: str) -> list[Block]:
    """The blocks of a page in Bash or Python."""
    found = _FENCE.finditer(written_pages()[page])
    return [Block(page, m[2], m[3]) for m in found if m[2] in ("bash", "python")]


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    """The targets of links and pictures."""
    without_code = re.sub(r"`[^`\n]*`", "", prose(text))
    return [*_LINK.findall(without_code), *re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", without_code)]


def anchors(text: str) -> set[str]:
    """The anchors of a page that the site and the repository's own view agree on."""
    site: dict[str, int] = {}
    repository: dict[str, int] = {}
    found = set()
    for title in re.findall(r"^#{1,6} (.+?) *$", prose(text), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
        kept = re.sub(r"[^\w\s-]", "", plain).strip().lower()
        ours = _numbered(re.sub(r"[-\s]+", "-", kept), site, "_")
        theirs = _numbered(re.sub(r"\s", "-", kept), repository, "-")
        found |= {ours} & {theirs}
    return found


def _numbered(slug: str, seen: dict[str, int], sign: str) -> str:
    seen[slug] = seen.get(slug, -1) + 1
    return f"{slug}{sign}{seen[slug]}" if seen[slug] else slug


def commands(block: Block) -> list[list[str]]:
    """The words of each line of a block of Bash, comments and here-documents left out."""
    text = re.sub(r"<<'(\w+)'\n.*?^\1$", "", block.text, flags=re.M | re.S)
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@functools.cache
def option_names(program: pathlib.Path) -> set[str]:
    """The options that a program of `dataset/`, `demo/` or `benchmarks/` declares or names."""
    text = program.read_text("utf8")
    names = set(re.findall(r"--(\w+)", text))
    names |= set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', text))
    if program.parent.name == "dataset" and program.suffix == ".py":
        names |= set(declared_flags(program)[0])
    return names


def resolved(page: str, target: str) -> tuple[str, str]:
    """A relative link -> path from the root, and anchor."""
    path, _, anchor = target.partition("#")
    if not path:
        return page, anchor
    parts: list[str] = []
    for part in (pathlib.PurePosixPath(page).parent / path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts), anchor
