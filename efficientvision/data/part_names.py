"""Recognises the parts of data sets by the usual names of their folders."""

from __future__ import annotations

import re

# Case does not matter.
PART_OF = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
PARTS = tuple(dict.fromkeys(PART_OF.values()))

_HINT = re.compile("train|val|dev|test")
# What may surround such a name: seg_train, training_set, val2017, Validation Data, test1.
_BESIDE = {"data", "dataset", "folder", "image", "images", "imgs", "photos", "seg", "set", "split"}
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W_]+?(?=\d|[\W_]|$)|\d+")


def part_of(name: str) -> str | None:
    """Returns the part that a folder's name means; None if it means none."""
    if name.lower() in PART_OF:
        return PART_OF[name.lower()]
    if _HINT.search(name.lower()) is None:  # Most of the many names are those of files.
        return None
    words = [word.lower() for word in _WORDS.findall(name)]
    words = [word.removesuffix("set") if word not in _BESIDE else word for word in words]
    named = [PART_OF[word] for word in words if word in PART_OF]
    others = [word for word in words if word not in PART_OF]
    known = all(word in _BESIDE or word.isdecimal() for word in others)
    return named[0] if len(named) == 1 and known else None
