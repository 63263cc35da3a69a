"""Compares class numbers of an evaluation set with the network's, by name.

Detectors are evaluated by number: a data set that numbers the same classes in another order would
silently give wrong metrics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from efficientvision.data.class_order import plain_name
from efficientvision.data.coco_json import read_instances
from efficientvision.data.labels import find_labels
from efficientvision.data.record_files import FilePattern
from efficientvision.preflight.findings import ERROR, Finding

_SHOWN = 3
_NAMELESS = re.compile(r"class \d+")  # Name that the reader gives to a nameless category.


def truth_name_findings(
    names: Mapping[int, str],
    records: FilePattern,
    json_file: str | None,
    *,
    renamed: bool = False,
) -> list[Finding]:
    """Returns an error if the ground truth has other names for the network's class numbers.

    Capitals, spaces and punctuation do not count. One side may have more classes, or no names.

    Args:
        names: Class number of the network -> name; may be empty.
        records: The evaluation records.
        json_file: The ground truth in COCO format; None: the records, named by the `labels.json`
            beside them.
        renamed: The network's names may differ from its records': only names that the ground truth
            gives to another number are wrong.

    Raises:
        UserError: The file is missing or not in COCO format.
    """
    if not names:
        return []
    if json_file:
        content = read_instances(json_file, required=["categories"], listed_categories=False)
        theirs = {i: name for i, name in content.labels.items() if not _NAMELESS.fullmatch(name)}
    else:
        theirs = find_labels(records) or {}
    ours = {number: plain_name(name) for number, name in names.items()}
    other = [
        number
        for number, name in theirs.items()
        if number in ours
        and plain_name(name) != ours[number]
        and (not renamed or plain_name(name) in ours.values())
    ]
    if not other:
        return []
    found = (
        f"{json_file or records} has {_listed(theirs, other)}, but the network has "
        f"{_listed(names, other)}: detections are compared by number"
    )
    advice = (
        "convert both sets with the same classes in the same order (`label_map_json_path`), or "
        "correct the names"
    )
    return [Finding(ERROR, "val class names", found, advice)]


def _listed(names: Mapping[int, str], numbers: list[int]) -> str:
    shown = [f"{number} {names[number]}" for number in numbers[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(numbers) > _SHOWN else "")
