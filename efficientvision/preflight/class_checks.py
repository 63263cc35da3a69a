"""Compares the class ids of records with `num_classes` and the names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from efficientvision.data.picture_folders import composed
from efficientvision.data.record_files import FilePattern
from efficientvision.errors import UserError
from efficientvision.preflight.findings import AGAIN, ERROR, OK, WARNING, Finding, listed
from efficientvision.preflight.record_scan import RecordScan, scan_records

SAME_CLASSES = (
    "AP would be measured against the wrong classes: convert train and val with the same classes "
    "(VOC: `label_map_json_path=labels.json` of train; COCO: the same categories in both files)"
)
_SHOWN = 6


def class_findings(
    scan: RecordScan,
    part: str,
    num_classes: int,
    names: Mapping[int, str],
    *,
    noun: str = "objects",
    counts_background: bool = False,
) -> list[Finding]:
    """Compares class ids with `num_classes` and the names.

    Args:
        scan: Scanned records.
        part: "train" or "val".
        num_classes: K, without the background; ids run from 1 to K.
        names: Class id -> name; may be empty.
        noun: Things that have a class: objects, or whole images.
        counts_background: Whether `num_classes` as a hyper-parameter is K + 1.
    """
    subject = f"{part} classes".strip()
    ids, counts = np.unique(scan.classes, return_counts=True)
    if not len(ids):
        return []  # No objects at all: the row about boxes says so.
    if ids[0] < 1 or ids[-1] > num_classes:
        extra = int(counts_background)
        return [_class_range_error(scan, subject, ids, num_classes, names, noun, extra)]
    written = _both_numbers(num_classes, noun, counts_background)
    findings = [_class_counts(scan, subject, ids, counts, written, names, noun)]
    findings += _name_findings(scan, subject, ids, names, noun)
    needed = max([int(ids[-1]), *names])
    if num_classes > needed and part == "train":
        found = f"{written}, but neither names nor records go beyond {needed}"
        advice = f"set num_classes={needed + int(counts_background)}"
        findings.append(Finding(WARNING, subject, found, advice))
    return findings


def _both_numbers(num_classes: int, noun: str, counts_background: bool) -> str:
    """The hyper-parameter, and the number of classes by the other way of counting."""
    if noun != "objects":
        return f"num_classes={num_classes}"
    if counts_background:
        return f"num_classes={num_classes + 1} ({num_classes} and the background)"
    return f"num_classes={num_classes} ({num_classes + 1} with the background)"


def _class_range_error(
    scan: RecordScan,
    subject: str,
    ids: np.ndarray,
    num_classes: int,
    names: Mapping[int, str],
    noun: str,
    extra: int,
) -> Finding:
    outside = (scan.classes < 1) | (scan.classes > num_classes)
    first = int(np.flatnonzero(outside)[0])
    class_id = int(scan.classes[first])
    name = f" ({names[class_id]})" if class_id in names else ""
    found = (
        f"num_classes={num_classes + extra}, but {scan.place(scan.image_of[first])} has "
        f"{'an object of ' if noun == 'objects' else ''}class {class_id}{name}, and "
        f"{outside.mean():.0%} of the {noun} are outside 1..{num_classes}"
    )
    shift = _shift_against_names(scan, ids, names)
    if shift is None and ids[0] == 0:
        shift = -1
    elif shift is None and ids[0] > 1 and ids[-1] == num_classes + 1:
        shift = 1
    if shift:
        found += f"; ids are {ids[0]}..{ids[-1]}: shifted by one" if abs(shift) == 1 else ""
        advice = f"number the classes 1..{num_classes} (0 is the background) and {AGAIN}"
    elif ids[0] < 1:
        advice = f"class ids start at 1: {AGAIN}"
    else:
        needed = max([int(ids[-1]), *names])
        background = "; the background, 0, counts" if extra else "; the background does not count"
        background = background if noun == "objects" else ""
        advice = f"set num_classes={needed + extra} (class ids start at 1{background})"
    return Finding(ERROR, subject, found, advice)


def _class_counts(
    scan: RecordScan,
    subject: str,
    ids: np.ndarray,
    counts: np.ndarray,
    written: str,
    names: Mapping[int, str],
    noun: str,
) -> Finding:
    """Both numbers of classes, and the number of objects of each."""
    order = range(len(ids)) if len(ids) <= _SHOWN else np.argsort(-counts, kind="stable")
    shown = [_named(int(ids[i]), names) + f" {counts[i]:,}" for i in order]
    if len(shown) > _SHOWN:
        shown = [*shown[: _SHOWN // 2], "...", *shown[-_SHOWN // 2 :]]
    found = f"{written}; {noun}: " + ", ".join(shown)
    absent = sorted(set(names) - set(ids.tolist()))
    if absent and scan.complete and subject.startswith("train"):
        found += f"; none for {listed(_named(i, names) for i in absent)}"
        return Finding(WARNING, subject, found, f"the network cannot learn a class without {noun}")
    return Finding(OK, subject, found)


def _name_findings(
    scan: RecordScan, subject: str, ids: np.ndarray, names: Mapping[int, str], noun: str
) -> list[Finding]:
    """Compares the names in use with the ids and with the names in the records themselves."""
    findings = []
    nameless = [str(i) for i in ids if names and i not in names]
    if nameless:
        found = f"classes {listed(nameless)} have {noun} but no name"
        findings.append(Finding(WARNING, subject, found, "name them in labels.json or label_map"))
    own = _own_names(scan, ids)
    other = [i for i in own if i in names and _plain(own[i]) != _plain(names[i])]
    if other:
        pairs = (f"{i} is {own[i]!r} in the records but {names[i]!r} here" for i in other)
        found = f"class {listed(pairs)}"
        shift = _shift_against_names(scan, ids, names)
        advice = "use the names of these records: labels.json beside them, or label_map"
        if shift:
            found += f"; shifted by {abs(shift)}"
            advice = f"number the classes in the order of the names, and {AGAIN}"
        level = WARNING
        id_of = {_plain(name): class_id for class_id, name in names.items()}
        if not subject.startswith("train") and any(_plain(own[i]) in id_of for i in other):
            # In evaluation, right results would count as wrong; in training only names are wrong.
            level, advice = ERROR, SAME_CLASSES
        findings.append(Finding(level, subject, found, advice))
    return findings


def numbering_findings(
    train: RecordScan, val: RecordScan, names: Mapping[int, str]
) -> list[Finding]:
    """Checks that both sets give a class the same id, if their records name their classes.

    Args:
        train: Scanned training records.
        val: Scanned evaluation records.
        names: Class id -> name in use; where val contradicts these, `class_findings` says so.
    """
    if any(finding.level == ERROR for finding in _name_findings(val, "val", _ids(val), names, "")):
        return []
    known = {_plain(text): i for i, text in _own_names(train, _ids(train)).items()}
    measured = {text: i for i, text in _own_names(val, _ids(val)).items()}
    pairs = ((text, i, known.get(_plain(text), i)) for text, i in measured.items())
    other = [f"{text!r} is {i} in val and {k} in train" for text, i, k in pairs if i != k]
    if not other:
        return []
    return [Finding(ERROR, "train and val", f"class {listed(other)}", SAME_CLASSES)]


def _ids(scan: RecordScan) -> np.ndarray:
    return np.unique(scan.classes)


def _own_names(scan: RecordScan, ids: np.ndarray) -> dict[int, str]:
    """Class id -> name that the records use most often for it; only if they have names."""
    if scan.class_texts is None:
        return {}
    texts = np.array(scan.class_texts, object)
    common = {int(i): Counter(texts[scan.classes == i]).most_common(1)[0][0] for i in ids}
    return {class_id: text for class_id, text in common.items() if text}


def _shift_against_names(scan: RecordScan, ids: np.ndarray, names: Mapping[int, str]) -> int | None:
    """Constant difference between all ids and those of the same names here; None if unknown."""
    id_of = {_plain(name): class_id for class_id, name in names.items()}
    shifts = {
        class_id - id_of[_plain(text)]
        for class_id, text in _own_names(scan, ids).items()
        if _plain(text) in id_of
    }
    return shifts.pop() if len(shifts) == 1 else None


def _plain(name: str) -> str:
    return composed(name).strip().casefold()


def _named(class_id: int, names: Mapping[int, str]) -> str:
    return f"{class_id} {names[class_id]}" if class_id in names else str(class_id)


def check_classes(
    file_pattern: FilePattern,
    num_classes: int,
    names: Mapping[int, str],
    *,
    part: str = "",
    counts_background: bool = False,
) -> None:
    """Makes sure that a head with `num_classes` classes has room for the classes of records.

    Args:
        file_pattern: Pattern of the records; a sample of them is read.
        num_classes: K, without the background.
        names: Class id -> name; may be empty.
        part: "train" if these are training records: wrong names do not spoil training.
        counts_background: Whether `num_classes` as a hyper-parameter is K + 1.

    Raises:
        UserError: An id is outside 1..K (the sentence has both numbers), or differs from the id of
            the same class name here.
    """
    findings = class_findings(
        scan_records(file_pattern), part, num_classes, names, counts_background=counts_background
    )
    for finding in findings:
        if finding.level == ERROR:
            raise UserError(f"{finding.found}: {finding.advice}.")
