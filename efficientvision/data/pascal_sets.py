"""The images of PASCAL folders: which annotation and which photo belong to each listed name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from efficientvision.data.pascal_files import ANNOTATIONS, Annotations, find_annotations
from efficientvision.data.pascal_photos import PhotoOf, YearPhotos, without_doubles


@dataclass(frozen=True)
class ListedImage:
    """One image of a list.

    Attributes:
        image_id: Its number in the list, from 1.
        xml: Path of its annotation; None for a photo without one, a background.
        photo: Its photo, or why there is none.
    """

    image_id: int
    xml: str | None
    photo: PhotoOf


@dataclass
class PascalYear:
    """A folder of annotations and photos; each of its folders is listed only once."""

    folder: str
    annotations_dir: str = ANNOTATIONS
    annotations: Annotations = field(init=False)
    photos: YearPhotos = field(init=False)

    def __post_init__(self) -> None:
        self.annotations = find_annotations(self.folder, self.annotations_dir)
        self.photos = YearPhotos(self.folder)

    def stem_of(self, xml: str) -> str:
        """Name of an annotation below its folder, without the extension."""
        stem = os.path.splitext(os.path.relpath(xml, self.annotations.folder))[0]
        return stem.replace(os.sep, "/")


def list_images(listed: Sequence[tuple[PascalYear, str]]) -> list[ListedImage]:
    """Finds the annotation and the photo of each name; no photo is taken twice.

    Args:
        listed: The folder and the name of each image, in the order of the list.
    """
    xmls = [year.annotations.path_of(name) for year, name in listed]
    found = [
        year.photos.find(year.stem_of(xml), xml)
        for (year, _), xml in zip(listed, xmls, strict=True)
    ]
    return [
        ListedImage(image_id, xml, photo)
        for image_id, (xml, photo) in enumerate(
            zip(xmls, without_doubles(xmls, found), strict=True), start=1
        )
    ]
