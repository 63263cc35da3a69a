"""Finds damaged records, and names the one that tf.data failed on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import tensorflow as tf

from efficientvision.data.mask_records import decode_mask, mask_of
from efficientvision.data.picture_files import open_header
from efficientvision.data.record_files import FilePattern, count_records, match_files
from efficientvision.data.record_framing import check_record_file
from efficientvision.data.records import decode_example
from efficientvision.data.verified_records import DamagedRecord, verified_records
from efficientvision.errors import UserError
from efficientvision.progress import tqdm

REPLACE = "replace or remove it and make the records again"
# TensorFlow quotes a record that it cannot parse, and then cannot decode its own message.
_DATA_ERRORS = (tf.errors.InvalidArgumentError, tf.errors.DataLossError, UnicodeDecodeError)


def decode_error(encoded: bytes) -> str | None:
    """Returns why TensorFlow cannot decode an image file; None if it can."""
    try:
        with tf.device("CPU"):
            tf.io.decode_image(encoded, channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError as error:
        if encoded.startswith(b"\xff\xd8") and not encoded.rstrip(b"\0").endswith(b"\xff\xd9"):
            return "the JPEG is truncated"
        return str(error).partition(" [Op:")[0].partition("} }} ")[2] or "not an image"
    return None


def mask_error(encoded: bytes, mask_encoded: bytes | None) -> str | None:
    """Returns what is wrong with the mask of a decodable image; None if nothing is.

    Args:
        encoded: Image file.
        mask_encoded: Mask of the record; None if it has none.
    """
    if mask_encoded is None:
        return "has no mask"
    try:
        height, width = decode_mask(mask_encoded).shape
    except UserError as error:
        return f"is spoilt: {error}"
    with open_header(encoded) as picture:
        size = picture.size
    if size != (width, height):
        return f"is spoilt: the mask has {width} x {height} pixels, the image {size[0]} x {size[1]}"
    return None


class BadRecord(NamedTuple):
    """A record that cannot be read or decoded: its file, its position there, and a sentence.

    `is_one`: certainly a single record; otherwise several records may be lost here.
    """

    path: str
    position: int
    sentence: str
    is_one: bool = True


def bad_records(file_pattern: FilePattern, *, of_masks: bool = False) -> Iterator[str]:
    """Describes every record that cannot be read or decoded; see `find_bad_records`."""
    return (bad.sentence for bad in find_bad_records(file_pattern, of_masks=of_masks))


def find_bad_records(file_pattern: FilePattern, *, of_masks: bool = False) -> Iterator[BadRecord]:
    """Finds every record that cannot be read or decoded; reads the whole data set.

    Verifies checksums, as TensorFlow does.

    Args:
        file_pattern: Pattern of the records.
        of_masks: Also report records without a mask.
    """
    files = match_files(file_pattern)

    def describe(path: str, position: int, serialized: bytes | DamagedRecord) -> str | None:
        if isinstance(serialized, DamagedRecord):
            return f"record {position} of {path} {serialized}"
        try:
            example = decode_example(serialized)
        except UserError as error:
            return f"record {position} of {path}: {error}"
        reason = decode_error(example.encoded)
        if reason is not None:
            reason = f"cannot be decoded: {reason}"
        else:
            mask = mask_of(serialized)
            reason = mask_error(example.encoded, mask) if of_masks or mask is not None else None
        if reason is None:
            return None
        return (
            f"record {position} of {path}, image {example.source_id!r} ({example.filename}), "
            f"{reason}"
        )

    with (
        tqdm(total=_countable(files), desc="checking records", unit="img") as bar,
        ThreadPoolExecutor() as pool,
    ):
        for path in files:
            batch: list[tuple[int, Any]] = []
            for item in enumerate(verified_records(path)):
                batch.append(item)
                if len(batch) == 256:
                    yield from _drain(pool, describe, path, batch, bar)
            yield from _drain(pool, describe, path, batch, bar)


def _drain(
    pool: ThreadPoolExecutor, describe: Any, path: str, batch: list[tuple[int, Any]], bar: tqdm
) -> Iterator[BadRecord]:
    sentences = pool.map(lambda item: describe(path, *item), batch)
    for (position, record), sentence in zip(batch, sentences, strict=True):
        bar.update()
        if sentence:
            damaged = isinstance(record, DamagedRecord)
            is_one = not (damaged and (record.lost_bytes or record.is_cut))
            yield BadRecord(path, position, sentence, is_one)
    batch.clear()


def _countable(paths: list[str]) -> int | None:
    """Number of records; None if damage hides it."""
    try:
        return sum(count_records(paths))
    except UserError:
        return None


def find_bad_record(file_pattern: FilePattern, *, of_masks: bool = False) -> str | None:
    """Returns the first damaged record (file, position, image id and name, reason), or None."""
    return next(bad_records(file_pattern, of_masks=of_masks), None)


@contextlib.contextmanager
def data_errors(file_pattern: FilePattern, *, of_masks: bool = False) -> Iterator[None]:
    """Turns tf.data's error on a damaged record into a ``UserError`` that names the record.

    Wrap the code that draws from the data set, directly or inside a training step. Errors that no
    record explains pass through unchanged.

    Args:
        file_pattern: Pattern of the records.
        of_masks: Masks are needed, so a record without one counts as damaged.
    """
    try:
        yield
    except _DATA_ERRORS as error:
        for path in match_files(file_pattern):
            check_record_file(path)
        culprit = find_bad_record(file_pattern, of_masks=of_masks)
        if culprit is None:
            raise
        raise UserError(f"{culprit.rstrip('.')}; {REPLACE}.") from error


def iterate(
    dataset: Iterable[Any], file_pattern: FilePattern, *, of_masks: bool = False
) -> Iterator[Any]:
    """``iter(dataset)``, but errors name the damaged record; `of_masks` as in `data_errors`."""
    with data_errors(file_pattern, of_masks=of_masks):
        yield from dataset
