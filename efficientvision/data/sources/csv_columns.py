"""Recognises the kind of a CSV file of boxes by its header, or by its first row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from efficientvision import files
from efficientvision.data.csv_rows import rows_of
from efficientvision.data.part_names import PART_OF
from efficientvision.data.picture_folders import looks_like_a_path
from efficientvision.errors import UserError

CORNERS, CORNER_AND_SIZE, CENTRE_AND_SIZE = "corners", "corner and size", "centre and size"

SUFFIXES = (".csv", ".tsv")
_HEAD_BYTES = 1 << 16
_HEAD_ROWS = 5
_SIDES = ("ymin", "xmin", "ymax", "xmax")

# Role -> names of its column, without punctuation; the first that a header has is taken.
_NAMES = {
    "photo": "path filepath imagepath imgpath photopath filename imagefilename imagefile imagename "
    "imgname file fname image img photo frame imageid imgid",
    "label": "labelname classname categoryname objectname class label category name object "
    "classlabel species classid categoryid labelid",
    "xmin": "xmin x1 left minx bboxxmin bboxx1 bboxleft boxxmin",
    "ymin": "ymin y1 top miny bboxymin bboxy1 bboxtop boxymin",
    "xmax": "xmax x2 right maxx bboxxmax bboxx2 bboxright boxxmax",
    "ymax": "ymax y2 bottom maxy bboxymax bboxy2 bboxbottom boxymax",
    "x": "x bboxx boxx xmin left x1 bboxleft",
    "y": "y bboxy boxy ymin top y1 bboxtop",
    "cx": "cx xcenter xcentre centerx centrex xc",
    "cy": "cy ycenter ycentre centery centrey yc",
    "box width": "bboxwidth boxwidth bboxw w width",
    "box height": "bboxheight boxheight bboxh h height",
    "width": "imagewidth imgwidth photowidth imagew imgw width",
    "height": "imageheight imgheight photoheight imageh imgh height",
    "part": "split set subset partition mluse usage",
    "crowd": "isgroupof iscrowd",
    "difficult": "difficult isdifficult",
}
_AUTOML_SETS = {*PART_OF, "validate", "unassigned", ""}
_AUTOML_FIELDS = (9, 11)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a CSV file of boxes.

    Attributes:
        kind: Name of the order, for people.
        place: Role -> number of its column; roles are those of `_NAMES`.
        form: `CORNERS`, `CORNER_AND_SIZE` or `CENTRE_AND_SIZE`.
        sides: Columns of the four numbers: (ymin, xmin, ymax, xmax), or (y, x, height, width). A
            side may have several columns, of which the smallest or largest value counts.
        heading: Whether the first row is a heading.
        fractions: Whether the format's coordinates are fractions of the photo.
        is_open_images: Whether it is a list of OpenImages, which names photos one need not have.
        unused: Headings of the columns that are not read.
    """

    kind: str
    place: dict[str, int]
    sides: tuple[tuple[int, ...], ...]
    form: str = CORNERS
    heading: bool = True
    fractions: bool = False
    is_open_images: bool = False
    unused: list[str] = field(default_factory=list)


def read_columns(path: str) -> Columns | None:
    """Recognises the columns of a CSV file; None if it is not one of boxes.

    Raises:
        UserError: It has the sides of boxes, but lacks photos or classes.
    """
    try:
        with files.reading(path) as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    text = head.decode("utf-8-sig", "replace")
    if len(head) == _HEAD_BYTES:
        text = text[: text.rfind("\n") + 1]
    if "\0" in text:
        return None
    try:
        rows = [[cell.strip() for cell in row] for _, row in rows_of(text, path, None)]
    except UserError:
        return None
    rows = rows[:_HEAD_ROWS]
    if not rows:
        return None
    return _headless(rows[0]) or _headed(rows[0], path)


def _headless(row: list[str]) -> Columns | None:
    """Recognises the rows of RetinaNet, makesense.ai and AutoML, which need no heading."""
    if len(row) == 6 and looks_like_a_path(row[0]) and _are_sides(row[1:5]):
        return Columns(
            kind="path,x1,y1,x2,y2,class without a heading",
            place={"photo": 0, "label": 5},
            sides=((2,), (1,), (4,), (3,)),
            heading=False,
        )
    if len(row) == 8 and looks_like_a_path(row[5]) and all(map(_is_number, row[1:5] + row[6:])):
        return Columns(
            kind="label,x,y,width,height,path,image width,image height without a heading",
            place={"photo": 5, "label": 0, "width": 6, "height": 7},
            sides=((2,), (1,), (4,), (3,)),
            form=CORNER_AND_SIZE,
            heading=False,
        )
    is_automl = (
        _AUTOML_FIELDS[0] <= len(row) <= _AUTOML_FIELDS[1]
        and row[0].lower() in _AUTOML_SETS
        and looks_like_a_path(row[1])
        and all(_is_number(cell) for cell in row[3:] if cell)
    )
    if not is_automl:
        return None
    xs, ys = tuple(range(3, len(row), 2)), tuple(range(4, len(row), 2))
    return Columns(
        kind="AutoML's set,path,label and corners",
        place={"part": 0, "photo": 1, "label": 2},
        sides=(ys, xs, ys, xs),
        heading=False,
        fractions=True,
    )


def _are_sides(cells: Sequence[str]) -> bool:
    return all(map(_is_number, cells)) or not any(cells)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _headed(row: Sequence[str], path: str) -> Columns | None:
    if any(map(_is_number, row)):
        return None
    headings = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in row]
    if headings[:3] in (["set", "path", "label"], ["set", "imagepath", "label"]) and (
        _AUTOML_FIELDS[0] <= len(row) <= _AUTOML_FIELDS[1]
    ):
        xs, ys = tuple(range(3, len(row), 2)), tuple(range(4, len(row), 2))
        return Columns(
            kind="AutoML's set,path,label and corners",
            place={"part": 0, "photo": 1, "label": 2},
            sides=(ys, xs, ys, xs),
            fractions=True,
        )
    found = {
        role: headings.index(name)
        for role, names in _NAMES.items()
        if (name := next((n for n in names.split() if n in headings), None)) is not None
    }
    roles_of = {
        CORNERS: _SIDES,
        CENTRE_AND_SIZE: ("cy", "cx", "box height", "box width"),
        CORNER_AND_SIZE: ("y", "x", "box height", "box width"),
    }
    form = next((f for f, roles in roles_of.items() if found.keys() >= set(roles)), None)
    if form is None:
        return None
    for role, wanted in (("photo", "path"), ("label", "class")):
        if role not in found:
            raise UserError(
                f"{path} has columns for the sides of boxes, but none for the "
                f"{'photo' if role == 'photo' else 'class'}: name that column {wanted} (it has "
                f"{', '.join(row[:12])})."
            )
    sides = tuple((found[role],) for role in roles_of[form])
    taken = {column for side in sides for column in side}
    place: dict[str, int] = {
        role: found[role]
        for role in ("photo", "label", "width", "height", "part", "crowd", "difficult")
        if role in found and found[role] not in taken
    }
    if not {"width", "height"} <= place.keys():
        place = {role: k for role, k in place.items() if role not in ("width", "height")}
    is_open_images = headings[place["photo"]] == "imageid" and "labelname" in headings
    taken |= set(place.values())
    return Columns(
        kind=",".join(row[k] for k in sorted(taken)),
        place=place,
        sides=sides,
        form=form,
        fractions=is_open_images,
        is_open_images=is_open_images,
        unused=[cell for k, cell in enumerate(row) if k not in taken and cell],
    )
