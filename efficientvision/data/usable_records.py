"""Filters out damaged records, for runs that continue without them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from efficientvision import files
from efficientvision.data.checks import BadRecord, find_bad_records
from efficientvision.data.labels import labels_path
from efficientvision.data.record_files import FilePattern, match_files
from efficientvision.data.verified_records import verified_records
from efficientvision.errors import UserError


def usable_records(
    file_pattern: FilePattern, folder: str, *, of_masks: bool = False
) -> tuple[str, list[BadRecord]]:
    """Returns a pattern of the same records without those that cannot be read or decoded.

    Files with such a record are copied without it, together with the class names beside them; other
    files stay where they are. The copies are always the same, so a resumed run sees the records in
    the same order.

    Args:
        file_pattern: Pattern of the records.
        folder: Folder for the copies.
        of_masks: Also drop records without a mask.

    Returns:
        (the files, as a pattern; the records left out).

    Raises:
        UserError: No records are left.
    """
    import tensorflow as tf

    usable: list[str] = []
    left_out: list[BadRecord] = []
    for path in match_files(file_pattern):
        bad = {b.position: b for b in find_bad_records([path], of_masks=of_masks)}
        records = list(enumerate(verified_records(path))) if bad else []
        good = [record for position, record in records if position not in bad]
        left_out += bad.values()
        if not bad:
            usable.append(path)
            continue
        if not good:
            continue
        # One folder each: files in several folders may share a name, and the file of class names is
        # found by the name of the record file.
        own = os.path.join(folder, f"{len(usable):05d}")
        files.make_folder(own)
        if (labels := labels_path(path)) is not None:
            files.copy(labels, os.path.join(own, files.base_name(labels)))
        copy = os.path.join(own, files.base_name(path))
        with files.tensorflow_errors(copy), tf.io.TFRecordWriter(copy) as writer:
            for record in good:
                writer.write(record)
        usable.append(copy)
    if not usable:
        raise UserError(
            f"None of the records of {file_pattern!r} can be used: "
            f"{left_out[0].sentence.rstrip('.')}."
        )
    return ",".join(usable), left_out


def said(left_out: Sequence[BadRecord], limit: int = 10) -> list[str]:
    """Lines to print: the number of records left out, and the first of them."""
    if not left_out:
        return []
    known = all(bad.is_one for bad in left_out)
    lines = [f"Damaged records left out: {'' if known else 'at least '}{len(left_out)}"]
    lines += [f"  {bad.sentence}" for bad in left_out[:limit]]
    return lines + ["  ..."] * (len(left_out) > limit)
