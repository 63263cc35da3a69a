"""Records without those that are damaged, for a run that is to go on all the same."""

from __future__ import annotations

import os
from collections.abc import Sequence

from efficientvision import files
from efficientvision.data.checks import find_bad_records
from efficientvision.data.record_files import FilePattern, match_files
from efficientvision.data.record_framing import verified_records
from efficientvision.errors import UserError


def usable_records(
    file_pattern: FilePattern, folder: str, *, of_masks: bool = False
) -> tuple[str, list[str]]:
    """A pattern of the same records without those that cannot be read or decoded.

    Files with such a record are copied without it; the others stay where they are. The copies are
    the same whenever they are made, so a run that is resumed sees the records in the same order.

    Args:
        file_pattern: the records.
        folder: where the copies are written.
        of_masks: a record without a mask is bad too.

    Returns:
        (the files, as a pattern; a sentence for each record that is left out).

    Raises:
        UserError: nothing is left.
    """
    import tensorflow as tf

    usable, sentences = [], []
    for path in match_files(file_pattern):
        bad = {b.position: b.sentence for b in find_bad_records([path], of_masks=of_masks)}
        records = list(enumerate(verified_records(path))) if bad else []
        good = [record for position, record in records if position not in bad]
        sentences += bad.values()
        if not bad:
            usable.append(path)
            continue
        if not good:
            continue
        files.make_folder(folder)
        copy = os.path.join(folder, f"{len(usable):05d}_{files.base_name(path)}")
        with files.tensorflow_errors(copy), tf.io.TFRecordWriter(copy) as writer:
            for record in good:
                writer.write(record)
        usable.append(copy)
    if not usable:
        raise UserError(
            f"None of the records of {file_pattern!r} can be used: {sentences[0].rstrip('.')}."
        )
    return ",".join(usable), sentences


def said(sentences: Sequence[str], limit: int = 10) -> list[str]:
    """Lines for people: how many records are left out, and the first of them."""
    if not sentences:
        return []
    lines = [f"Damaged records left out: {len(sentences)}"]
    lines += [f"  {sentence}" for sentence in sentences[:limit]]
    return lines + ["  ..."] * (len(sentences) > limit)
