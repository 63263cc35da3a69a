"""The files of a prediction."""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

from efficientvision import files
from efficientvision.configs.predict_options import PredictOptions
from efficientvision.data.names import printable
from efficientvision.errors import UserError
from efficientvision.output_folder import check_output_folder
from efficientvision.results.coco_file import write_coco
from efficientvision.results.cvat import write_cvat
from efficientvision.results.journal import JOURNAL_NAME, Journal
from efficientvision.results.label_studio import (
    labelling_interface,
    region_kind,
    write_label_studio,
)
from efficientvision.results.tables import count_classes, counts_table, write_csv, yolo_text
from efficientvision.tasks.predictor import PhotoResult, Predictor, save_picture

log = logging.getLogger(__name__)

PICTURES, MASKS, LABELS, CROPS = "pictures", "masks", "labels", "crops"
COCO_NAME, CSV_NAME = "predictions.json", "predictions.csv"
CLASSES_NAME = "classes.txt"
LABEL_STUDIO_NAME, CVAT_NAME = "prelabels_label_studio.json", "prelabels_cvat.xml"
INTERFACE_NAME = "prelabels_label_studio_interface.xml"
_FOLDERS = (PICTURES, MASKS, LABELS, CROPS)
_FILES = (COCO_NAME, CSV_NAME, CLASSES_NAME, LABEL_STUDIO_NAME, CVAT_NAME, INTERFACE_NAME)
_SHOWN_UNREAD = 5
# Characters that some file system does not allow in names.
_NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|\x00-\x1f]')


@dataclasses.dataclass(frozen=True)
class Predictions:
    """A finished prediction.

    Attributes:
        folder: the output folder.
        num_photos: number of photos with results, of earlier calls too.
        counts: class name -> number of objects, or of photos with the class; most frequent first.
        unread: photo -> why it could not be read.
        files: description -> path of what was written.
    """

    folder: str
    num_photos: int
    counts: dict[str, int]
    unread: dict[str, str]
    files: dict[str, str]

    def __repr__(self) -> str:
        unread = f", {len(self.unread)} unreadable" if self.unread else ""
        return f"<Predictions {self.folder}: {self.num_photos} photos{unread}>"


class PredictionFiles:
    """Writes the files of a prediction.

    Pictures are written photo by photo; everything else from the `Journal` at the end, also if that
    is an interruption.

    Args:
        options: The user's options.

    Attributes:
        folders: Folders of pictures and texts.

    Raises:
        UserError: The folder cannot be written to, or has files that a prediction did not write.
    """

    def __init__(self, options: PredictOptions):
        self._options = options
        self._folder = folder = options.folder
        if files.is_remote(folder):
            raise UserError(
                f"`folder={folder}` is remote, and results are added photo by photo: write them to "
                "a local folder, then copy it."
            )
        check_output_folder("folder", folder)
        self.folders = [files.join(folder, name) for name in _FOLDERS]
        names = (*_FOLDERS, *_FILES)
        self._present = [name for name in names if files.exists(files.join(folder, name))]
        if files.is_file(files.join(folder, JOURNAL_NAME)):
            if not (options.overwrite or options.resume):
                raise UserError(
                    f"{folder} has the results of an earlier prediction: choose another `folder`, "
                    "continue it with `resume=true`, or replace it with `overwrite=true`."
                )
        elif self._present:
            raise UserError(
                f"{folder} has {', '.join(self._present)}, which no prediction has written: choose "
                "another `folder`."
            )

    def begin(self, predictor: Predictor) -> None:
        """Makes the folder ready.

        Raises:
            UserError: An option does not apply to the model.
        """
        for name in ("save_txt", "save_crops", "line_thickness", "max_boxes_to_draw"):
            if getattr(self._options, name) and not predictor.has_boxes:
                kind = predictor.metadata.kind
                raise UserError(f"`{name}` needs boxes, and the model is {kind}: remove it.")
        if self._options.overwrite:
            self._remove()
        files.make_folder(self._folder)

    def add(self, predictor: Predictor, name: str, photo: np.ndarray, result: PhotoResult) -> None:
        """Writes the pictures of a photo.

        Args:
            predictor: Draws the result.
            name: The photo's name, see `photo_names`.
            photo: uint8 [H, W, 3].
            result: The predictor's result.
        """
        options = self._options
        if options.pictures:
            asked = {name: getattr(options, name) for name in predictor.draw_options}
            drawn = predictor.draw(photo, result, **{k: v for k, v in asked.items() if v})
            save_picture(drawn, self._path(PICTURES, name, ".jpg"))
        if (index_map := predictor.index_map(result)) is not None:
            save_picture(index_map, self._path(MASKS, name, ".png"), "PNG")
        if options.save_crops:
            self._save_crops(predictor, name, photo, result)

    def finish(
        self, predictor: Predictor, journal: Journal, unread: Mapping[str, str]
    ) -> Predictions:
        """Writes the tables, and logs the counts, the files and what to do next."""
        names = _named_classes(predictor, journal)
        written = {"results by photo": journal.path}
        path = self._path(COCO_NAME)
        write_coco(path, journal.photos, names, f"predictions of {predictor.metadata.model_name}")
        written["COCO"] = path
        columns = ("photo", "width", "height", *predictor.table_columns)
        written["table"] = path = self._path(CSV_NAME)
        write_csv(path, columns, _rows(predictor, journal))
        written |= self._write_texts(journal, names)
        written |= self._write_prelabels(predictor, journal, names)
        made = {PICTURES: self._options.pictures, CROPS: self._options.save_crops, MASKS: True}
        folders = {name: self._path(name) for name, is_made in made.items() if is_made}
        written |= {name: path for name, path in folders.items() if files.is_folder(path)}
        return self._report(predictor, journal, names, unread, written)

    def _report(
        self,
        predictor: Predictor,
        journal: Journal,
        names: Mapping[int, str],
        unread: Mapping[str, str],
        written: dict[str, str],
    ) -> Predictions:
        counts = count_classes(_decided(predictor, journal), areas=predictor.has_areas)
        for line in counts_table(counts, names, objects=predictor.has_boxes):
            log.info(line)
        empty = f", nothing found in {counts.empty:,}" if counts.empty else ""
        log.info(f"{_photos(counts.num_photos)}{empty}.")
        if unread:
            shown = [printable(photo) for photo in list(unread)[:_SHOWN_UNREAD]]
            more = ", ..." if len(unread) > len(shown) else ""
            log.info(f"{_photos(len(unread))} could not be read: {', '.join(shown)}{more}.")
            for reason in list(unread.values())[:_SHOWN_UNREAD]:
                log.info(f"Skipped: {printable(reason)}")
        width = max(map(len, written))
        for content, path in written.items():
            log.info(f"  {content:<{width}}  {printable(path)}")
        log.info(self._next_step(written))
        by_name: dict[str, int] = {}
        for number, count in counts.found.most_common():
            by_name[names[number]] = by_name.get(names[number], 0) + count
        return Predictions(self._folder, counts.num_photos, by_name, dict(unread), written)

    def _next_step(self, written: Mapping[str, str]) -> str:
        if CVAT_NAME in map(files.base_name, written.values()):
            return (
                f"Next: create a CVAT task with the photos, upload {CVAT_NAME} as its annotations "
                "(format CVAT 1.1), correct them, and train on what it exports."
            )
        if LABEL_STUDIO_NAME in map(files.base_name, written.values()):
            return (
                f"Next: create a Label Studio project with {INTERFACE_NAME} as its labelling "
                f"interface, import {LABEL_STUDIO_NAME}, correct the results, and train on what it "
                "exports."
            )
        return (
            "Next: to correct these results by hand and train on them, repeat the command with "
            "`resume=true` and `save_prelabels=cvat` (or label_studio)."
        )

    def _write_texts(self, journal: Journal, names: Mapping[int, str]) -> dict[str, str]:
        if not self._options.save_txt:
            return {}
        indices = {number: index for index, number in enumerate(sorted(names))}
        for photo in journal.photos():
            path = self._path(LABELS, photo["name"], ".txt")
            files.make_folder(files.parent(path))
            files.write_text(path, yolo_text(photo, indices, scores=self._options.save_conf))
        path = self._path(CLASSES_NAME)
        files.write_text(path, "".join(f"{names[number]}\n" for number in indices))
        return {"YOLO": self._path(LABELS), "YOLO's classes": path}

    def _write_prelabels(
        self, predictor: Predictor, journal: Journal, names: Mapping[int, str]
    ) -> dict[str, str]:
        written = {}
        if "cvat" in self._options.prelabels:
            written["CVAT"] = path = self._path(CVAT_NAME)
            write_cvat(path, _objects(predictor, journal), names)
        if "label_studio" in self._options.prelabels:
            written["Label Studio"] = path = self._path(LABEL_STUDIO_NAME)
            write_label_studio(
                path,
                _objects(predictor, journal),
                names,
                prefix=self._options.label_studio_prefix,
                model_version=predictor.metadata.model_name,
            )
            written["Label Studio's interface"] = path = self._path(INTERFACE_NAME)
            kind = region_kind(boxes=predictor.has_boxes, areas=predictor.has_areas)
            interface = labelling_interface(kind, names, several=not predictor.one_class)
            files.write_text(path, interface)
        return written

    def _save_crops(
        self, predictor: Predictor, name: str, photo: np.ndarray, result: PhotoResult
    ) -> None:
        for number, one in enumerate(result.annotations(), start=1):
            x, y, width, height = one["bbox"]
            left, top = math.floor(x), math.floor(y)
            right, bottom = math.ceil(x + width), math.ceil(y + height)
            category = one["category_id"]
            kind = predictor.class_names.get(category, f"class {category}")
            kind = _NOT_IN_NAMES.sub("_", kind).strip(". ") or f"class {category}"
            path = self._path(CROPS, f"{kind}/{name}_{number}", ".jpg")
            save_picture(Image.fromarray(photo[top:bottom, left:right]), path)

    def _path(self, name: str, below: str = "", ending: str = "") -> str:
        return files.join(self._folder, name, *filter(None, f"{below}{ending}".split("/")))

    def discard(self) -> None:
        """Removes the files of this prediction, which has no results."""
        self._present = [n for n in self._present if files.exists(files.join(self._folder, n))]
        self._remove()

    def _remove(self) -> None:
        """Removes the files of an earlier prediction."""
        for name in (*self._present, JOURNAL_NAME):
            path = files.join(self._folder, name)
            files.remove_folder(path) if files.is_folder(path) else files.remove(path)


def _named_classes(predictor: Predictor, journal: Journal) -> dict[int, str]:
    """Class number -> name, for all classes of the model and of the results."""
    names = dict(predictor.class_names)
    for photo in journal.photos():
        for one in photo["annotations"]:
            number = one.get("category_id")
            if number is not None:
                names.setdefault(number, f"class {number}")
    return dict(sorted(names.items()))


def _photos(number: int) -> str:
    return "1 photo" if number == 1 else f"{number:,} photos"


def _rows(predictor: Predictor, journal: Journal) -> Iterator[list[Any]]:
    for photo in journal.photos():
        size = photo["height"], photo["width"]
        for one in photo["annotations"]:
            yield [photo["photo"], photo["width"], photo["height"], *predictor.table_row(one, size)]


def _decided(predictor: Predictor, journal: Journal) -> Iterator[tuple[dict, list[dict]]]:
    for photo in journal.photos():
        yield photo, photo["annotations"][: 1 if predictor.one_class else None]


def _objects(predictor: Predictor, journal: Journal) -> Iterator[tuple[dict, list[dict]]]:
    """Like `_decided`, without the background, which annotation tools do not draw."""
    background = 0 if predictor.class_names.get(0) == "background" else None
    for photo, found in _decided(predictor, journal):
        yield photo, [one for one in found if one.get("category_id") != background]
