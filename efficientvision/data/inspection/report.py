"""Report on record files: their content and their problems."""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

from efficientvision.data.checks import decode_error
from efficientvision.data.record_features import LABEL, MASK, unchecked_features
from efficientvision.data.record_files import FilePattern, count_records, iter_records, match_files
from efficientvision.data.records import DetectionExample, decode_example, stated_size
from efficientvision.errors import UserError
from efficientvision.progress import tqdm

MAX_NAMED = 5
_MARKS = {MASK: "masks", LABEL: "classes"}


def record_kind(file_pattern: FilePattern) -> str:
    """Returns the task that records are for, by the features of the first readable one.

    Returns:
        "masks", "classes" or "boxes".

    Raises:
        UserError: Nothing matches, there are no records, or none can be read.
    """
    paths = match_files(file_pattern)
    unreadable = None
    for record in (record for path in paths for record in iter_records(path)):
        try:
            features = unchecked_features(record)
        except UserError as error:
            unreadable = unreadable or error
            continue
        return next((kind for mark, kind in _MARKS.items() if mark in features), "boxes")
    if unreadable is not None:
        raise UserError(f"{file_pattern}: record 0: {unreadable.sentence}.") from unreadable
    raise UserError(f"{file_pattern}: there are no records in {len(paths)} files.")


class RecordReport(abc.ABC):
    """Counts and problems of all records of a pattern.

    Attributes:
        num_files, num_images: Counts.
        num_empty: Images without any label.
        image_sizes: (height, width), of the images themselves -> number of images.
        problems: Kind of problem -> places where it was found.
        labels: Class names, if known.
        noun: Word for what an image without labels lacks.
    """

    noun = "objects"

    def __init__(self, labels: Mapping[int, str] | None = None):
        self.num_files = 0
        self.num_images = 0
        self.num_empty = 0
        self.image_sizes: Counter = Counter()
        self.problems: dict[str, list[str]] = {}
        self.labels = dict(labels or {})
        self._seen: dict[str, str] = {}

    @abc.abstractmethod
    def add_labels(self, example: DetectionExample, serialized: bytes, place: str) -> None:
        """Adds the labels of one record."""

    @abc.abstractmethod
    def label_lines(self) -> list[str]:
        """Lines about the labels, one per subject."""

    @abc.abstractmethod
    def class_ids(self) -> list[int]:
        """Classes found, sorted."""

    def add(self, serialized: bytes, place: str) -> None:
        """Adds a record; `place` says where it is."""
        try:
            example = decode_example(serialized)
        except UserError as error:
            self.add_problem("unreadable records", f"{place}: {error}")
            return
        short, place = place, f"{place}, image {example.source_id!r} ({example.filename})"
        self.num_images += 1
        self.image_sizes[example.height, example.width] += 1
        stated = stated_size(serialized)
        if stated not in (None, (example.height, example.width)):
            sizes = f"{stated[1]}x{stated[0]}, the image has {example.width}x{example.height}"
            self.add_problem(
                "records that state another size than their image has", f"{place}: {sizes}"
            )
        if reason := decode_error(example.encoded):
            self.add_problem("images that cannot be decoded", f"{place}: {reason}")
        if not example.source_id:
            self.add_problem("images without source_id", place)
        elif first := self._seen.get(example.source_id):
            self.add_problem("repeated image ids", f"{place}, first in {first}")
        else:
            self._seen[example.source_id] = short
        self.add_labels(example, serialized, place)

    def add_problem(self, kind: str, place: str) -> None:
        """Notes that a problem of this kind was found at `place`."""
        self.problems.setdefault(kind, []).append(place)

    def class_lines(self, counts: Mapping[int, int]) -> list[str]:
        """A heading, and one line for each class found."""
        lines = [f"  {k:>4} {self.labels.get(k, '?'):<20} {n}" for k, n in sorted(counts.items())]
        return ["classes", *lines]

    def __str__(self) -> str:
        sizes = ", ".join(
            f"{width}x{height} ({count})"
            for (height, width), count in self.image_sizes.most_common(MAX_NAMED)
        )
        more = len(self.image_sizes) - MAX_NAMED
        lines = [
            f"files          {self.num_files}",
            f"images         {self.num_images}, {self.num_empty} of them without {self.noun}",
            f"image sizes    {sizes}{f' and {more} more' if more > 0 else ''}  (width x height)",
            *self.label_lines(),
        ]
        if not self.problems:
            lines.append("problems       none found")
        for kind, places in sorted(self.problems.items()):
            lines.append(f"PROBLEM        {len(places)} {kind}:")
            lines += [f"                 {place}" for place in places[:MAX_NAMED]]
            if len(places) > MAX_NAMED:
                lines.append(f"                 and {len(places) - MAX_NAMED} more")
        return "\n".join(lines)


Report = TypeVar("Report", bound=RecordReport)


def inspect_records(file_pattern: FilePattern, report: Report) -> Report:
    """Reads every record and decodes every image; returns the report, filled.

    Raises:
        UserError: Nothing matches, or a file is truncated.
    """
    paths = match_files(file_pattern)
    report.num_files = len(paths)
    with tqdm(total=sum(count_records(paths)), desc="inspecting", unit="img") as bar:
        for path in paths:
            for position, serialized in enumerate(iter_records(path)):
                report.add(serialized, f"record {position} of {path}")
                bar.update()
    return report
