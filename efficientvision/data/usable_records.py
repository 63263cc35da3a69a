"""Records without those that are damaged, for a run that is to go on all the same."""

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
    """A pattern of the same records without those that cannot be read or decoded.

    Files with such a record are copied without it, and the class names beside them too; the
    others stay where they are. The copies are the same whenever they are made, so a run that is
    resumed sees the records in the same order.

    Args:
        file_pattern: the records.
        folder: where the copies are written.
        of_masks: a record without a mask is bad too.

    Returns:
        (the files, as a pattern; the records that are left out).

    Raises:
        UserError: nothing is left.
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
        # A folder for each: files of several folders may have one name, and names of classes go by
        # the name of the file.
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
    """Lines for people: how many records are left out, and the first of them."""
    if not left_out:
        return []
    known = all(bad.is_one for bad in left_out)
    lines = [f"Damaged records left out: {'' if known else 'at least '}{len(left_out)}"]
    lines += [f"  {bad.sentence}" for bad in left_out[:limit]]
    return lines + ["  ..."] * (len(left_out) > limit)
