"""Finds the photos that a list names, whose paths may be those of another machine."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from efficientvision import files
from efficientvision.data.names import composed, spellings
from efficientvision.data.photos import PHOTO_SUFFIXES
from efficientvision.errors import UserError

# Wording of the report's counts.
BY_TAIL = "photos found by the last part of their listed path, which does not exist here"
MISSING = "missing photos skipped"
OTHER_CASE = "photos whose listed name differs in upper and lower case"


class ListedPhotos:
    """Finds photos by listed names: as written, or else by the end of the path.

    Args:
        known: Paths of the photos that a name may lead to by its end.

    Attributes:
        notes: Counts of names that did not lead to a photo as written.
        first: The first such name and the path that was taken.
    """

    def __init__(self, known: Iterable[str]):
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_folded: dict[str, list[str]] = defaultdict(list)
        for path in known:
            name = composed(os.path.basename(path))
            stem, suffix = os.path.splitext(name)
            self._by_name[name].append(path)
            self._by_folded[name.lower()].append(path)
            if suffix.lower() in PHOTO_SUFFIXES:  # OpenImages' ids have no extension.
                self._by_name[stem].append(path)
        self._owners: dict[str, tuple[str, bool]] = {}
        self.notes: Counter[str] = Counter()
        self.first: tuple[str, str] | None = None

    def find(self, name: str, roots: Sequence[str], source: str) -> str | None:
        """Returns the path of a listed photo; None if there is none.

        Args:
            name: Name in the list: a path, with either kind of slash, perhaps without extension.
            roots: Folders that it may be relative to, in order.
            source: Path of the list, for errors.

        Raises:
            UserError: It is unclear which photo is meant.
        """
        path, is_guess = self._exact(name, roots), False
        if path is None:
            path, is_guess = self._by_tail(name, roots, source)
        if path is None:
            return None
        other, other_is_guess = self._owners.setdefault(path, (name, is_guess))
        if other != name and (is_guess or other_is_guess):
            raise UserError(
                f"{source} names {other!r} and {name!r}, and the only photo for both is {path}: "
                "one of them is missing, or correct the paths in the list."
            )
        return path

    def _exact(self, name: str, roots: Sequence[str]) -> str | None:
        for root in roots:
            for spelling in spellings(name):
                path = os.path.join(root, spelling)
                if files.is_file(path):
                    return os.path.normpath(path)
        return None

    def _by_tail(self, name: str, roots: Sequence[str], source: str) -> tuple[str | None, bool]:
        """Returns the photo that shares most of the end of its path; whether it is a guess."""
        wanted = components(name)
        if not wanted:
            return None, False
        last = wanted[-1]
        candidates, note = self._by_name.get(last, []), BY_TAIL
        if not candidates:
            candidates, note = self._by_folded.get(last.lower(), []), OTHER_CASE
        if not candidates:
            return None, False
        shared = {path: _shared(components(path), wanted) for path in candidates}
        most = max(shared.values())
        best = [path for path in candidates if shared[path] == most]
        if best[1:]:
            # A list in train/ means the photos in train/.
            near = ([p for p in best if _is_below(p, root)] for root in roots)
            best = next(filter(None, near), best)
        if best[1:]:
            raise UserError(
                f"{source} names {name!r}, which could be {best[0]} or {best[1]}: write the path "
                "of the photo relative to the list."
            )
        is_guess = most < len(wanted)
        if is_guess or note == OTHER_CASE:
            if best[0] not in self._owners:
                self.notes[BY_TAIL if is_guess else note] += 1
            self.first = self.first or (name, best[0])
        return best[0], is_guess

    def said(self) -> Iterator[str]:
        """Yields the line to print about the first name that did not lead to a photo as written."""
        if self.first:
            yield f"the first photo found under another path: {self.first[0]} -> {self.first[1]}"


def components(path: str) -> list[str]:
    """Returns the parts of a path of any system, without `.`, and without what precedes `..`."""
    parts = [p for p in composed(path).replace("\\", "/").split("/") if p not in ("", ".")]
    return parts[len(parts) - parts[::-1].index("..") :] if ".." in parts else parts


def _shared(path: Sequence[str], wanted: Sequence[str]) -> int:
    """Counts the parts at the end that a path has in common with the listed one.

    The last parts match already, except for the extension or the case of letters.
    """
    count = 1
    while count < min(len(path), len(wanted)) and path[-1 - count] == wanted[-1 - count]:
        count += 1
    return count


def _is_below(path: str, folder: str) -> bool:
    return os.path.normpath(path).startswith(os.path.join(os.path.normpath(folder), ""))


def check_missing(
    names: Sequence[str], listed: int, source: str, place: str, *, allow_most: bool
) -> None:
    """Checks how many listed photos do not exist: up to half of them are left out.

    Args:
        names: The missing names.
        listed: Number of names in the list.
        source: Path of the list.
        place: Folder in which they were looked for.
        allow_most: Whether more may be missing, but not all.

    Raises:
        UserError: Too many do not exist.
    """
    if len(names) == listed:
        raise UserError(
            f"None of the {listed} photos that {source} names exist in {place}; the first is "
            f"{names[0]!r}. Put the photos there, or correct the paths in the list."
        )
    if 2 * len(names) > listed and not allow_most:
        raise UserError(
            f"{source} names {len(names)} photos that do not exist (of {listed}); the first is "
            f"{names[0]!r}, looked for in {place}. Add them, or remove them from the list; "
            "`skip_bad` skips them."
        )
