"""From whatever holds labelled photos to records: `data_dir`, `data=` and the like."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from efficientvision import files
from efficientvision.data.conversion import ConversionReport
from efficientvision.data.data_folder import DataFolder, find_data, holds_records
from efficientvision.data.record_files import NoImageLeft
from efficientvision.data.sources.cache import (
    REPORT_NAME,
    CachedRecords,
    Part,
    cached_records,
)
from efficientvision.data.sources.formats import AUTO, FORMATS, RECORDS, find_layout, title_of
from efficientvision.data.sources.layout import BOXES, ConvertOptions, Layout
from efficientvision.errors import UserError

log = logging.getLogger(__name__)

# Beside records, other layouts are looked for only in folders of fewer files.
_FEW_FILES = 20_000


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Options for reading a data set, named like the options of a run.

    Attributes:
        data_format: One of `run_options.DATA_FORMATS`.
        val_fraction: Share to hold out if the data is not split; None: the default of
            `ConvertOptions`.
        split_seed: Seed of that choice; None: 0.
        background: Keep photos without labels as backgrounds.
        data_cache: Folder for the records; None: in the data folder.
        skip_bad: Leave out what cannot be used.
    """

    data_format: str = AUTO
    val_fraction: float | None = None
    split_seed: int | None = None
    background: bool = False
    data_cache: str | None = None
    skip_bad: bool = False

    def for_conversion(self) -> ConvertOptions:
        """The options of a conversion.

        Raises:
            UserError: The share is out of range.
        """
        options = ConvertOptions(background=self.background, skip_bad=self.skip_bad)
        if self.val_fraction is not None:
            if not 0 <= self.val_fraction < 1:
                raise UserError(
                    f"`val_fraction` must be at least 0 and below 1, got {self.val_fraction:g}."
                )
            options = replace(options, val_fraction=self.val_fraction)
        return options if self.split_seed is None else replace(options, seed=self.split_seed)


def find_records(
    data: files.AnyPath,
    kinds: Sequence[str],
    options: SourceOptions,
    *,
    suits: Callable[[str], str] = str,
) -> DataFolder:
    """Returns the records of a data set, and converts it where it is not records yet.

    The result's `line` tells what was taken, with counts.

    Args:
        data: Folder with records, or folder or file with photos and labels in a known layout.
        kinds: Kinds of labels that are wanted, the preferred one first.
        options: How to read it.
        suits: See `formats.find_layout`.

    Raises:
        UserError: Nothing known is there, it cannot be converted, or an option does not apply.
    """
    path = files.as_text(data)
    is_remote = files.is_remote(path)
    if options.data_format == RECORDS or (options.data_format == AUTO and holds_records(path)):
        _refuse_options(path, options, "are records already")
        if options.data_format == AUTO and not is_remote:
            _tell_beside_records(path, kinds)
        return find_data(path)
    if is_remote:
        raise UserError(
            f"{path} has no records train*.tfrecord or val*.tfrecord, and only records are read "
            "from remote folders: copy the folder to this machine, or convert it and copy the "
            "records."
        )
    path = path.rstrip("/") or path
    layout = find_layout(path, kinds, options.data_format, suits=suits)
    _check_options(path, layout, options)
    how = options.for_conversion()
    with _own_options(layout, "`on_bad_record=skip`"):
        made = cached_records(layout, path, how, options.data_cache)
    line = _line(path, layout, made, how)
    is_held_out = not layout.is_split and how.val_fraction > 0
    return replace(find_data(made.folder), line=line, is_held_out=is_held_out)


def _tell_beside_records(data: str, kinds: Sequence[str]) -> None:
    """Says that other labels in a folder of records are not read."""
    names = (name for _, _, names in os.walk(data) for name in names)
    if sum(1 for _ in itertools.islice(names, _FEW_FILES)) == _FEW_FILES:
        return
    try:
        layout = find_layout(data, kinds)
    except UserError:
        return
    log.info(
        f"{data} has records and {title_of(layout.labels, layout.format)} ({layout.evidence}): "
        f"taking the records; choose the other with `data_format={layout.format}`."
    )


def _refuse_options(data: str, options: SourceOptions, why: str) -> None:
    """Raises UserError for options that only apply to a conversion.

    To hold out nothing is what happens anyway.
    """
    options = replace(options, val_fraction=options.val_fraction or None)
    for name in ("val_fraction", "split_seed", "background", "data_cache"):
        value = getattr(options, name)
        if value is not None and value is not False:
            raise UserError(f"`{name}` does not apply to {data}, which {why}: remove it.")


def _check_options(data: str, layout: Layout, options: SourceOptions) -> None:
    if layout.is_split:
        _refuse_options(
            data,
            replace(options, background=False, data_cache=None),
            "says itself which photos are for validation",
        )
    if options.background and layout.labels != BOXES:
        raise UserError(
            f"`background` does not apply to {data}: only boxes have photos without labels; "
            "remove it."
        )


@contextlib.contextmanager
def _own_options(layout: Layout, skip_bad: str) -> Iterator[None]:
    """Completes the errors of a converter.

    Args:
        layout: The layout that is converted.
        skip_bad: What leaves out photos here; converters name their own option.
    """
    try:
        yield
    except UserError as error:
        sentence = error.sentence.replace("`skip_bad`", "skip_bad").replace("skip_bad", skip_bad)
        if isinstance(error, NoImageLeft) and error.part == "val" and not layout.is_split:
            sentence += " Another `split_seed` holds out others."
        raise UserError(sentence, error.lines) from error


def _line(data: str, layout: Layout, made: CachedRecords, options: ConvertOptions) -> str:
    """One line: what was taken, and how much of it."""
    parts: dict[str, Part] = made.parts
    counts: list[str] = []
    for part, purpose in (("train", "to train"), ("val", "to validate"), ("test", "to test")):
        if part in parts:
            images = parts[part].images
            photos = f"{images:,}" if counts else _counted(images, "photo")
            counts.append(f"{photos} {purpose}")
    if not layout.is_split and "val" in parts:
        counts[1] += f" (held out: `val_fraction={options.val_fraction:g}`, "
        counts[1] += f"`split_seed={options.seed}`)"
    labels = sum(part.labels for part in parts.values())
    if made.unit == "boxes":
        counts.append(_counted(labels, "box"))
    counts.append(_counted(made.num_classes, "class"))
    line = (
        f"Data {data}: {title_of(layout.labels, layout.format)} ({layout.evidence}), "
        f"{', '.join(counts)}; records in {made.folder}."
    )
    if made.num_remarks and not made.is_new:
        line += f" What was changed or left out is in {files.join(made.folder, REPORT_NAME)}."
    return line


def _counted(count: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith(("s", "x")) else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def convert_folder(
    data: files.AnyPath,
    output_dir: files.AnyPath,
    *,
    options: SourceOptions,
    labels: str | None = None,
    num_shards: int | None = None,
    num_workers: int | None = None,
) -> list[ConversionReport]:
    """Converts a data set of any known layout to records.

    Args:
        data: Folder or file with photos and labels.
        output_dir: Folder to write the records to.
        options: How to read it, from anything but records.
        labels: Kind of labels; None: whichever are found, boxes first, then classes, then masks.
        num_shards: Files per part, at most; None: the default of `ConvertOptions`.
        num_workers: Parallel processes; None: one per core.

    Returns:
        A report for each part: train, val, test.

    Raises:
        UserError: Nothing known is there, it cannot be converted, or an option does not apply.
    """
    path, data_format = files.as_text(data), options.data_format
    if files.is_remote(path):
        raise UserError(f"{path} is remote: copy it to this machine to convert it.")
    kinds = [labels] if labels else [k for k in FORMATS if data_format in (AUTO, *FORMATS[k])]
    if data_format == RECORDS or not kinds:
        raise UserError(f"`data_format={data_format}` is nothing to convert from.")
    if options.data_cache:
        raise UserError("`data_cache` is not used, as the records have their folder: remove it.")
    path = path.rstrip("/") or path
    layout = find_layout(path, kinds, data_format)
    _check_options(path, layout, options)
    how = replace(options.for_conversion(), num_shards=num_shards, num_workers=num_workers)
    with _own_options(layout, "`skip_bad`"):
        return layout.convert(files.as_text(output_dir), how)
