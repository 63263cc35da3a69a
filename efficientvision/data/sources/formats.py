"""The known layouts of labelled photos, by kind of label, and the choice between them."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from efficientvision import files
from efficientvision.data.sources.layout import BOXES, CLASSES, MASKS, Finder, Layout
from efficientvision.data.sources.unknown import files_in
from efficientvision.errors import UserError

log = logging.getLogger(__name__)

AUTO = "auto"
RECORDS = "records"


class UnknownLayout(UserError):
    """A folder has no labels of a known form."""


class Format(NamedTuple):
    """A layout.

    Attributes:
        title: Its name in messages.
        module: Module below this package with its function `find`.
        wanted: What a folder of this layout contains, for the error that nothing was found.
        suffixes: Endings of the file that may be named instead of the folder.
    """

    title: str
    module: str
    wanted: str
    suffixes: tuple[str, ...] = ()


# In the order in which they are looked for.
FORMATS: dict[str, dict[str, Format]] = {
    BOXES: {
        "coco": Format(
            "COCO",
            "coco",
            "COCO's JSON (instances_*.json, _annotations.coco.json)",
            (".json",),
        ),
        "yolo": Format(
            "YOLO", "yolo", "YOLO's data.yaml or images/ and labels/", (".yaml", ".yml", ".data")
        ),
        "voc": Format("PASCAL VOC", "voc", "PASCAL VOC's .xml files"),
        "csv": Format("CSV", "csv_boxes", "a .csv of boxes", (".csv", ".tsv")),
    },
    CLASSES: {
        "folders": Format(
            "class folders", "class_folders", "class folders (CLASS/PHOTO or train/CLASS/PHOTO)"
        ),
        "list": Format("list", "class_lists", "a .csv with lines of path,label", (".csv", ".txt")),
    },
    MASKS: {
        "voc": Format("PASCAL VOC", "voc_masks", "PASCAL VOC's masks (ImageSets/)"),
        "masks": Format(
            "images and masks",
            "mask_folders",
            "images/ and masks/ (or labels/, also in train/ and val/), Cityscapes' leftImg8bit/ "
            "and gtFine/",
        ),
        "list": Format("list", "mask_lists", "a list with lines of image,mask", (".csv", ".txt")),
    },
}


# (kind of label, name of the format) -> the layout, or why there is none; None: another form.
Results = dict[tuple[str, str], Layout | UserError | None]


def is_data_file(path: files.AnyPath) -> bool:
    """Whether a path names a file that describes a data set: data.yaml, a JSON, a list."""
    suffixes = {s for formats in FORMATS.values() for f in formats.values() for s in f.suffixes}
    suffix = os.path.splitext(files.base_name(path))[1].lower()
    return suffix in suffixes and files.is_file(path)


def find_layout(
    data: str, kinds: Sequence[str], data_format: str = AUTO, *, suits: Callable[[str], str] = str
) -> Layout:
    """Recognises the layout of a folder, or of the file that describes a data set.

    If it has several, the first in the order of `kinds` and `FORMATS` is taken, and a message says
    so.

    Args:
        data: Local path of the folder or file.
        kinds: Kinds of labels that are wanted, the preferred one first.
        data_format: One of `run_options.DATA_FORMATS`; "auto" looks for all of them.
        suits: Kind of label -> plural noun of the networks that learn from it, for errors.

    Raises:
        UnknownLayout: Nothing known is in it.
        UserError: There is no such path, or it cannot be used.
    """
    if not files.exists(data):
        raise UserError(f"The data {data} does not exist: expected a folder or a file.")
    wanted = dict(_candidates(data, kinds, data_format))
    if not wanted:
        raise UserError(_no_candidate(data, kinds, data_format, suits))
    results = _find(data, wanted)
    if found := _layouts(results):
        _look_at_failed(results, found[0], data_format)
        _tell_others(data, found, data_format)
        return found[0]
    for failed in results.values():
        if isinstance(failed, UserError):
            raise failed
    raise UnknownLayout(_nothing_known(data, wanted, kinds, suits))


def _candidates(
    data: str, kinds: Sequence[str], data_format: str
) -> Iterator[tuple[tuple[str, str], Format]]:
    """Yields the formats to look for, by (kind, name)."""
    suffix = None if files.is_folder(data) else os.path.splitext(data)[1].lower()
    for kind in kinds:
        for name, known in FORMATS[kind].items():
            if data_format in (AUTO, name) and (suffix is None or suffix in known.suffixes):
                yield (kind, name), known


def _find(data: str, wanted: dict[tuple[str, str], Format]) -> Results:
    """Looks for each format, in order: its layout, its error, or None."""
    results: Results = {}
    for key, known in wanted.items():
        try:
            results[key] = _finder(known)(data)
        except UserError as error:  # Another format may fit.
            results[key] = error
    return results


def _layouts(results: Results) -> list[Layout]:
    return [result for result in results.values() if isinstance(result, Layout)]


def _look_at_failed(results: Results, found: Layout, data_format: str) -> None:
    """Tells why other formats were not taken, unless they are of labels that are less wanted.

    Raises:
        UserError: One of them, of the same kind of labels, would have been preferred, and
            `data_format` does not choose.
    """
    is_preferred = True
    for (kind, _), result in results.items():
        if result is found:
            is_preferred = False
        if not isinstance(result, UserError):
            continue
        if is_preferred and kind == found.labels and data_format == AUTO:
            raise UserError(
                f"{result.sentence} Or take {title_of(found.labels, found.format)} "
                f"({found.evidence}) by `data_format={found.format}`.",
                result.lines,
            )
        if is_preferred or kind == found.labels:
            log.info(f"Not taken: {result.sentence}")


def _finder(known: Format) -> Finder:
    return importlib.import_module(f"efficientvision.data.sources.{known.module}").find


def title_of(labels: str, data_format: str) -> str:
    """The name of a format in messages."""
    return FORMATS[labels][data_format].title


def _tell_others(data: str, found: list[Layout], data_format: str) -> None:
    first, *others = found
    if others and data_format == AUTO:
        also = " and ".join(
            f"`data_format={layout.format}` ({layout.evidence})" for layout in others
        )
        log.info(
            f"{data} has several layouts: taking {title_of(first.labels, first.format)} "
            f"({first.evidence}); choose another with {also}."
        )


def _no_candidate(
    data: str, kinds: Sequence[str], data_format: str, suits: Callable[[str], str]
) -> str:
    """Error for a format of another kind of label, or an unknown kind of file."""
    if data_format != AUTO and not any(data_format in FORMATS[kind] for kind in kinds):
        homes = [kind for kind in FORMATS if data_format in FORMATS[kind]]
        known = ", ".join(dict.fromkeys(name for kind in kinds for name in FORMATS[kind]))
        return (
            f"`data_format={data_format}` has {' and '.join(homes)}, which suit "
            f"{' and '.join(map(suits, homes))}; here it can be {known}."
        )
    usual = [
        f"{suffix} ({name})"
        for kind in kinds
        for name, known in FORMATS[kind].items()
        for suffix in known.suffixes
        if data_format in (AUTO, name)
    ]
    expected = f"or a file {', '.join(usual)}" if usual else "not a file"
    return f"{data} is not a data set of a known form: expected a folder, {expected}."


def _nothing_known(
    data: str,
    wanted: dict[tuple[str, str], Format],
    kinds: Sequence[str],
    suits: Callable[[str], str],
) -> str:
    looked_for = ", ".join(known.wanted for known in wanted.values())
    sentence = f"{data} has no labels of a known form: looked for TFRecords, {looked_for}; "
    sentence += f"found {files_in(data)}"
    for kind in FORMATS:
        if kind in kinds:
            continue
        if found := _layouts(_find(data, dict(_candidates(data, (kind,), AUTO)))):
            title = title_of(kind, found[0].format)
            return (
                f"{sentence}. It has {kind} ({title}: {found[0].evidence}), which suit "
                f"{suits(kind)}: choose another model, or add labels."
            )
    return f"{sentence}."
