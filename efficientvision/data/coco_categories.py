"""Brings the categories of a data set's COCO files to one numbering."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from efficientvision.data.coco_json import CocoFile
from efficientvision.data.labels import BUILTIN, LabelMap
from efficientvision.errors import UserError

GROUP = "unused categories left out, as they only name the group of the others"
JOINED = "the files number their categories differently: classes are joined by name"


def join_categories(read: Sequence[CocoFile]) -> LabelMap:
    """Renumbers the classes of files so that each has one id in all of them: 1..K, without gaps.

    COCO's own numbering, which has gaps, is kept. Otherwise the classes get numbers in the order of
    their ids, or, where the files disagree on these, in the order in which the files name them.
    A category 0 that no file uses and that only names the group of the others, as in Roboflow's
    files, is left out.

    Args:
        read: The files. Their class ids, labels, counts and details are changed.

    Returns:
        Class id -> name, of all files.

    Raises:
        UserError: The files have no categories.
    """
    ids_of: dict[str, set[int]] = defaultdict(set)
    names_of: dict[int, set[str]] = defaultdict(set)
    groups = _groups(read)
    for file in read:
        for class_id, name in file.labels.items():
            if name not in groups:
                ids_of[name].add(class_id)
                names_of[class_id].add(name)
    if not ids_of:
        raise UserError(
            f"{read[0].path} has no categories: an object needs a category with a name."
        )
    agree = all(len(each) == 1 for known in (ids_of, names_of) for each in known.values())
    own = dict(sorted((min(ids), name) for name, ids in ids_of.items())) if agree else {}
    if own and own.items() <= BUILTIN["coco"].items():
        labels = own
    else:
        labels = dict(enumerate(own.values() or ids_of, start=1))
    number_of = {name: class_id for class_id, name in labels.items()}
    for file in read:
        _renumber(file, number_of, labels)
    if not agree:
        read[0].details.insert(0, JOINED)
    return labels


def _groups(read: Sequence[CocoFile]) -> set[str]:
    """Names of categories that are nothing but groups in every file that has them."""
    named = {file.labels[i] for file in read for i in file.group_ids if i in file.labels}
    return {
        name
        for name in named
        if all(
            class_id in file.group_ids
            for file in read
            for class_id, other in file.labels.items()
            if other == name
        )
    }


def _renumber(file: CocoFile, number_of: dict[str, int], labels: LabelMap) -> None:
    new = {i: number_of[name] for i, name in file.labels.items() if name in number_of}
    if left_out := len(file.labels) - len(new):
        file.notes[GROUP] += left_out
    for of_image in file.by_image.values():
        for annotation in of_image:
            annotation["category_id"] = new[annotation["category_id"]]
    table = file.id_table()
    file.details = [line for line in file.details if line not in table]
    ids = file.category_ids
    file.category_ids = {number: new[ids[number]] for number in ids if ids[number] in new}
    file.labels = labels
    file.details = [*file.id_table(), *file.details]
