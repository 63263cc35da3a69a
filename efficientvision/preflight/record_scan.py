"""Reads the objects and sizes of many records into arrays, without decoding photos."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from efficientvision import files
from efficientvision.data.checks import data_errors, find_bad_record
from efficientvision.data.class_records import parse_class_example
from efficientvision.data.record_files import FilePattern, match_files
from efficientvision.data.record_parsing import source_id
from efficientvision.data.records import parse_example
from efficientvision.data.streams import without_autograph
from efficientvision.data.transforms.decode import image_size
from efficientvision.errors import UserError
from efficientvision.progress import tqdm

DEFAULT_LIMIT = 5000
MAX_PHOTOS = 64
_BATCH = 128
_FRAMING_BYTES = 16  # Length and two checksums that TFRecord puts around a record.
_SECONDS_WITHOUT_BAR = 2.0
_STORE_REQUESTS = 32
_NO_TEXT = np.zeros(0, object)


@dataclasses.dataclass(frozen=True)
class RecordScan:
    """Content of the records of a pattern, or of the first ones of each of its files.

    N records were read, with M boxes in all. Arrays of boxes are in the order of the records.

    Attributes:
        paths: The F files.
        file_counts: int64 [F], number of records read from each.
        num_records: Records in all files; an estimate from their sizes unless `complete`.
        complete: Whether every record was read.
        source_ids: N ids, as the input pipeline names the photos.
        named: bool [N], whether the record itself has an id (else it is a hash of the photo).
        content_hashes: int64 [N], hash of the encoded photo.
        image_hw: int32 [N, 2], height and width of the photo, from its own header.
        stated_hw: int64 [N, 2], the size that the record states; -1 if it states none.
        file_of: int64 [N], index of the record's file.
        boxes_normalized_yxyx: float32 [M, 4], as stored: [0, 1] if they are right.
        classes: int32 [M], class ids.
        is_crowd: bool [M].
        class_texts: M class names from the records themselves, or None if they have none.
        image_of: int64 [M], index of the box's record.
        photos: Index of the record -> encoded photo, for a few records (detection: with boxes).
    """

    paths: list[str]
    file_counts: np.ndarray
    num_records: int
    complete: bool
    source_ids: list[str]
    named: np.ndarray
    content_hashes: np.ndarray
    image_hw: np.ndarray
    stated_hw: np.ndarray
    file_of: np.ndarray
    boxes_normalized_yxyx: np.ndarray
    classes: np.ndarray
    is_crowd: np.ndarray
    class_texts: list[str] | None
    image_of: np.ndarray
    photos: dict[int, bytes]

    @property
    def num_read(self) -> int:
        """N, the number of records read."""
        return len(self.source_ids)

    @property
    def boxes_pixels_yxyx(self) -> np.ndarray:
        """float64 [M, 4], boxes in pixels of their photos."""
        return self.boxes_normalized_yxyx * np.tile(self.image_hw[self.image_of], 2)

    @property
    def objects_per_image(self) -> np.ndarray:
        """int64 [N], number of boxes of each record, including crowds."""
        return np.bincount(self.image_of, minlength=self.num_read)

    def place(self, record: int) -> str:
        """Describes a record in messages: `image '12' in train-00000-of-00004.tfrecord`."""
        name = files.base_name(self.paths[self.file_of[record]])
        return f"image {self.source_ids[record]!r} in {name}"


def scan_records(
    file_pattern: FilePattern,
    *,
    limit: int = DEFAULT_LIMIT,
    regenerate_source_id: bool = False,
    labels_only: bool = False,
    description: str = "checking records",
) -> RecordScan:
    """Reads objects, ids and sizes of records.

    Args:
        file_pattern: Pattern of the records.
        limit: Read about this many, equally many from the start of each file.
        regenerate_source_id: Name photos by a hash of their bytes, as the pipeline then does.
        labels_only: Read the classes of images; each then counts as a box of the whole photo.
        description: Label of the progress bar, which appears after two seconds.

    Raises:
        UserError: Nothing matches, or a record is damaged; the error names it.
    """
    paths = match_files(file_pattern)
    with ThreadPoolExecutor(_STORE_REQUESTS) as pool:
        sizes = np.array(list(pool.map(files.size, paths)), np.int64)
    each = max(1, -(-limit // len(paths)))
    photos_each = max(1, -(-MAX_PHOTOS // len(paths)))
    dataset = _dataset(paths, each, photos_each, regenerate_source_id, labels_only)
    batches: list[dict[str, tf.Tensor | tf.RaggedTensor]] = []
    with (
        data_errors(file_pattern),
        tqdm(desc=description, unit="img", delay=_SECONDS_WITHOUT_BAR) as bar,
    ):
        for batch in dataset:
            batches.append(batch)
            if bar.total is None:
                mean_bytes = batch["bytes"].numpy().mean() + _FRAMING_BYTES
                bar.total = int(min(each * len(paths), sizes.sum() / mean_bytes))
            bar.update(len(batch["bytes"]))
    return _assemble(file_pattern, paths, sizes, batches)


def _dataset(
    paths: Sequence[str], each: int, photos_each: int, regenerate: bool, labels_only: bool
) -> tf.data.Dataset:
    """Ragged batches of `_summary`, for the first `each` records of every file."""

    @without_autograph
    def one_file(index: tf.Tensor, path: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(path, buffer_size=1 << 20).take(each)
        return tf.data.Dataset.zip(
            tf.data.Dataset.from_tensors(index).repeat(), records.enumerate()
        )

    @without_autograph
    def summary(index: tf.Tensor, numbered: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        position, record = numbered
        return _summary(record, regenerate, position < photos_each, labels_only) | {"file": index}

    dataset = tf.data.Dataset.from_tensor_slices((tf.range(len(paths)), list(paths)))
    dataset = dataset.interleave(
        one_file,
        cycle_length=min(len(paths), 8),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    dataset = dataset.map(summary, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.ragged_batch(_BATCH).prefetch(1)


def _summary(
    record: tf.Tensor, regenerate: bool, keep_photo: tf.Tensor, labels_only: bool
) -> dict[str, tf.Tensor]:
    if labels_only:
        example = _labels_as_boxes(parse_class_example(record))
    else:
        example = parse_example(record)
    encoded = example["encoded"]
    return {
        "bytes": tf.strings.length(record),
        "source_id": source_id(example, regenerate),
        "named": tf.not_equal(example["source_id"], ""),
        "content_hash": tf.strings.to_hash_bucket_fast(encoded, tf.int64.max),
        "image_hw": tf.ensure_shape(image_size(encoded), [2]),
        "stated_hw": example["stated_hw"],
        "boxes": example["boxes_normalized_yxyx"],
        "classes": example["classes"],
        "is_crowd": example["is_crowd"],
        "texts": example["texts"],
        "photo": tf.where(
            keep_photo & (labels_only | (tf.size(example["classes"]) > 0)), encoded, ""
        ),
    }


def _labels_as_boxes(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    count = tf.size(example["classes"])
    return {
        **example,
        "boxes_normalized_yxyx": tf.tile([[0.0, 0.0, 1.0, 1.0]], [count, 1]),
        "is_crowd": tf.zeros([count], tf.bool),
    }


class _Columns:
    """Concatenates batches; for values that vary in number, also the lengths of the rows."""

    def __init__(self, batches: Sequence[Mapping[str, tf.Tensor | tf.RaggedTensor]]):
        self._batches = batches

    def array(self, name: str, empty: np.ndarray) -> np.ndarray:
        parts = [getattr(batch[name], "flat_values", batch[name]) for batch in self._batches]
        return np.concatenate([empty, *(part.numpy() for part in parts)])

    def lengths(self, name: str) -> np.ndarray:
        parts = [batch[name].row_lengths().numpy() for batch in self._batches]
        return np.concatenate([np.zeros(0, np.int64), *parts])


def _assemble(
    file_pattern: FilePattern, paths: list[str], sizes: np.ndarray, batches: Sequence[Mapping]
) -> RecordScan:
    columns = _Columns(batches)
    integers, pairs = np.zeros(0, np.int64), np.zeros((0, 2), np.int64)
    file_of = columns.array("file", integers)
    counts = np.bincount(file_of, minlength=len(paths))
    record_bytes = columns.array("bytes", integers) + _FRAMING_BYTES
    bytes_read = np.bincount(file_of, record_bytes, minlength=len(paths))
    complete = bool((bytes_read == sizes).all())
    unread = (sizes - bytes_read).sum() / record_bytes.mean() if len(record_bytes) else 0
    num_boxes, num_texts = columns.lengths("classes"), columns.lengths("texts")
    if (num_boxes != columns.lengths("boxes")).any():
        raise UserError(find_bad_record(file_pattern) or f"{file_pattern}: classes without boxes.")
    texts = [text.decode("utf8", "replace") for text in columns.array("texts", _NO_TEXT)]
    photos = columns.array("photo", _NO_TEXT)
    kept = [index for index, photo in enumerate(photos) if photo][:MAX_PHOTOS]
    return RecordScan(
        paths=paths,
        file_counts=counts,
        num_records=int(len(file_of) + round(unread)),
        complete=complete,
        source_ids=[name.decode("utf8") for name in columns.array("source_id", _NO_TEXT)],
        named=columns.array("named", np.zeros(0, bool)),
        content_hashes=columns.array("content_hash", integers),
        image_hw=columns.array("image_hw", pairs.astype(np.int32)),
        stated_hw=columns.array("stated_hw", pairs),
        file_of=file_of,
        boxes_normalized_yxyx=columns.array("boxes", np.zeros((0, 4), np.float32)),
        classes=columns.array("classes", integers.astype(np.int32)),
        is_crowd=columns.array("is_crowd", np.zeros(0, bool)),
        class_texts=texts if (num_texts == num_boxes).all() else None,
        image_of=np.repeat(np.arange(len(num_boxes)), num_boxes),
        photos={index: photos[index] for index in kept},
    )
