"""COCO files beside photos: COCO's own folders, Roboflow's, those of CVAT and Label Studio."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass

from efficientvision import files
from efficientvision.data.coco_categories import join_categories
from efficientvision.data.coco_format import write_part
from efficientvision.data.coco_images import MISSING, CocoImage, find_images
from efficientvision.data.coco_json import CocoFile, read_instances
from efficientvision.data.conversion import ConversionReport
from efficientvision.data.labels import write_labels
from efficientvision.data.part_names import part_of
from efficientvision.data.picture_folders import LeftOut, is_hidden
from efficientvision.data.sources.coco_files import find_label_files, find_photo_folder
from efficientvision.data.sources.labelled_photos import (
    BACKGROUNDS,
    UNLABELLED,
    hold_out_val,
    list_photos,
    no_val_photos,
    refuse_mostly_missing,
    refuse_mostly_unusable,
    same_path,
)
from efficientvision.data.sources.layout import BOXES, ConvertOptions, Layout
from efficientvision.data.truth_file import write_truth
from efficientvision.errors import UserError

VERSION = 1


@dataclass(frozen=True)
class _Source:
    """The COCO file of a part, the folder of its photos, and those that no part before has."""

    json_file: str
    photo_folder: str
    photos: list[str]


def find(folder: str) -> Layout | None:
    """Finds COCO files and their photos in a folder.

    - `annotations/instances_train2017.json` and the like, with photos in `train2017/`, `images/`,
      `images/train2017/` or where the names in the file lead to;
    - `train/_annotations.coco.json`, `valid/...`, `test/...` with the photos beside them;
    - one COCO file of any name for all photos, beside them or their folder, or in `annotations/`;
    - a folder with nothing but such a folder in it.

    Args:
        folder: Local folder, or a COCO file itself. Of a file only the first and last bytes are
            read, and none if its name tells that it is COCO's.

    Returns:
        The layout; None if there is no COCO file.

    Raises:
        UserError: It is unclear which of several COCO files is meant.
    """
    return None if files.is_remote(folder) else _find(folder, folder)


def _find(folder: str, root: str) -> Layout | None:
    chosen, aside = find_label_files(folder)
    if not chosen:
        inner = [name for name in files.folder_names(folder) if not is_hidden(name)]
        # An unpacked archive often has a folder around everything.
        is_wrapped = len(inner) == 1 and folder == root and files.is_folder(folder)
        return _find(os.path.join(folder, inner[0]), root) if is_wrapped else None
    folders = {part: find_photo_folder(folder, file) for part, file in chosen.items()}
    photos = list_photos(folders.values())
    sources = {}
    for part, file in chosen.items():
        sources[part] = _Source(file.path, folders[part], photos.pop(folders[part], []))
    if files.is_file(root):
        root = files.parent(root)
    return Layout(
        format="coco",
        labels=BOXES,
        evidence=", ".join(files.relative(file.path, root) for file in chosen.values()),
        inputs=[
            *(source.json_file for source in sources.values()),
            *(path for source in sources.values() for path in source.photos),
        ],
        is_split="val" in chosen,
        version=VERSION,
        convert=functools.partial(_convert, sources, aside),
    )


def _convert(
    sources: Mapping[str, _Source], aside: list[str], output_dir: str, options: ConvertOptions
) -> list[ConversionReport]:
    read = {part: read_instances(source.json_file) for part, source in sources.items()}
    labels = join_categories(list(read.values()))
    reports = {part: ConversionReport() for part in ("train", "val", "test")}
    parts: dict[str, list[CocoImage]] = {}
    absent: list[str] = []
    for part, source in sources.items():
        file, report = read[part], reports[part]
        report.skipped.update(file.notes)
        report.details += file.details
        images = find_images(
            *(source.photo_folder, file, file, None, report),
            skip_bad=True,
            outside=False,
            lenient=True,
        )
        missing = report.skipped[MISSING]
        if images:
            parts[part] = images
            _refuse_most(source, file, images)
        elif file.images:
            absent.append(
                f"the part {part} is left out: none of the {missing:,} photos that "
                f"{source.json_file} lists exist in {source.photo_folder}"
            )
    if not parts:
        first = next(iter(sources.values()))
        raise UserError(
            f"{first.json_file}: none of the photos that it lists were found. Put them beside it, "
            f"in images/, or in a folder named as the part (looked in {first.photo_folder}), so "
            "that the file_name of each leads to its photo."
        )
    if "val" in sources and "train" in parts:
        if "val" not in parts:
            source = sources["val"]
            raise no_val_photos(source.json_file, len(read["val"].images), source.photo_folder)
        _refuse_photos_of_train(sources["val"], parts)
    _look_at_others(sources, parts, reports, keep=options.background)
    parts, lines = hold_out_val(
        parts,
        options,
        lambda image: image.path,
        lambda image: {annotation["category_id"] for annotation in image.annotations},
    )
    first_report = reports[next(iter(parts))]
    first_report.details[:0] = [
        *lines,
        *absent,
        *(f"{path} is not used: its name is not that of a part" for path in aside),
    ]
    for part, images in parts.items():
        prefix, report = os.path.join(output_dir, part), reports[part]
        kept = write_part(
            images,
            prefix,
            labels,
            report,
            skip_bad=options.skip_bad,
            num_shards=options.num_shards,
            num_workers=options.num_workers,
        )
        refuse_mostly_unusable(report, len(images))
        report.sidecars = [write_truth(prefix, kept, labels), write_labels(prefix, labels)]
    return [reports[part] for part in parts]


def _refuse_most(source: _Source, file: CocoFile, images: list[CocoImage]) -> None:
    found = {image.info["id"] for image in images}
    missing = [image["file_name"] for image in file.images if image["id"] not in found]
    refuse_mostly_missing(source.json_file, len(images), missing, source.photo_folder)


def _refuse_photos_of_train(source: _Source, parts: Mapping[str, list[CocoImage]]) -> None:
    """Refuses photos for val of which none is there, but which have the names of those for train.

    Raises:
        UserError: All of them were found in the folder of train, and are photos for train.
    """
    of_train = {image.path for image in parts["train"]}
    images = parts["val"]
    in_train = part_of(files.base_name(source.photo_folder)) == "train"
    if in_train and all(image.path in of_train for image in images):
        raise UserError(
            f"The {len(images):,} photos for val that {source.json_file} lists were only found "
            f"among those for train, such as {images[0].path}: put those for val into a folder val "
            f"beside {source.photo_folder}, or remove {source.json_file} to hold out a share."
        )


def _look_at_others(
    sources: Mapping[str, _Source],
    parts: dict[str, list[CocoImage]],
    reports: Mapping[str, ConversionReport],
    *,
    keep: bool,
) -> None:
    """Counts the photos that no file lists, or adds them to their part as backgrounds."""
    listed = {same_path(image.path) for images in parts.values() for image in images}
    for part, images in parts.items():
        source = sources[part]
        others = [path for path in source.photos if same_path(path) not in listed]
        if keep:
            ids = [image.info["id"] for image in images]
            last = max((number for number in ids if isinstance(number, int)), default=0)
            for number, path in enumerate(others, start=max(last, 0) + 1):
                name = files.relative(path, source.photo_folder).replace(os.sep, "/")
                info = {"id": number, "file_name": name, "height": None, "width": None}
                images.append(CocoImage(path, info, [], None))
            if others:
                reports[part].skipped[BACKGROUNDS] += len(others)
        elif others:
            left_out = LeftOut()
            left_out.add(UNLABELLED, others[0], len(others))
            reports[part].skipped += left_out.counted()
