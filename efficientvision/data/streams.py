"""Serialized records in the order of training or of evaluation.

The order of training is a function of (seed, epoch): a run that begins again at example n skips
whole epochs by counting and the rest without decoding.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from efficientvision.files import size as file_size

AUTOTUNE = tf.data.AUTOTUNE

# Partners (mosaic, MixUp) come from the same window of so many examples of the sequence.
PARTNER_WINDOW = 16
# Shuffling holds so many records, or fewer, lest they take more memory than this.
SHUFFLE_RECORDS, SHUFFLE_BYTES = 1024, 256 << 20
_SAMPLED_FILES = 8


def without_autograph(function: Callable) -> Callable:
    """The function as it is, for a `map`: TensorFlow need not search it for Python control flow.

    There is none in the library's functions, and searching takes seconds.
    """
    return tf.autograph.experimental.do_not_convert(function)


def read_in_order(files: list[str]) -> tf.data.Dataset:
    """Records of the files, one after the other."""
    return tf.data.TFRecordDataset(files, buffer_size=1 << 20)


def default_shuffle_buffer(files: list[str], counts: list[int]) -> int:
    """How many records to draw from: 1024, or as many as fit into 256 MB at their mean size.

    Args:
        files: record files; the mean is that of eight of them, spread evenly.
        counts: records of each.
    """
    filled = [(path, count) for path, count in zip(files, counts, strict=True) if count]
    sample = filled[:: -(-len(filled) // _SAMPLED_FILES)]
    mean_bytes = sum(file_size(path) for path, _ in sample) / sum(count for _, count in sample)
    return max(1, min(SHUFFLE_RECORDS, int(SHUFFLE_BYTES / mean_bytes)))


def training_stream(
    files: list[str],
    counts: list[int],
    *,
    num_records: int,
    seed: int,
    first: int,
    num_epochs: int | None,
    shuffle_buffer: int,
    max_examples: int | None,
    num_partners: int,
) -> tf.data.Dataset:
    """The endless sequence of training: records with their positions, epoch after epoch.

    A record may come with partners, others to be combined with. For that the sequence is cut, at
    fixed positions, into windows of ``PARTNER_WINDOW`` records, and partners are drawn within the
    window, none twice. So example n is made of the same photos whatever the batch size, the number
    of readers or the step that a run begins at; to combine within a batch would give other
    pictures to two workers than to one, and none to a batch of one.

    Args:
        files, counts: record files, and how many records each holds.
        num_records: records of an epoch.
        seed: of the order and of the partners.
        first: position to begin with.
        num_epochs: end after so many; None: never.
        shuffle_buffer: records held to draw from.
        max_examples: the first so many records are all there is; None: all of them.
        num_partners: how many, less than ``PARTNER_WINDOW``.

    Returns:
        (position int64 [], serialized records string [1 + num_partners]).
    """
    begin = first // PARTNER_WINDOW * PARTNER_WINDOW if num_partners else first
    first_epoch, skipped = divmod(begin, num_records)
    first_epoch, skipped = tf.constant(first_epoch, tf.int64), tf.constant(skipped, tf.int64)
    paths = [path for path, count in zip(files, counts, strict=True) if count]

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        # `shuffle` mixes the global seed in (and fails if that is 0); this sets the one of the
        # graph that the function is traced into, and nobody else's.
        tf.random.set_seed(1)
        epoch_seed = tf.random.stateless_uniform(
            [2], tf.stack([tf.constant(seed, tf.int64), epoch]), maxval=2**31 - 1, dtype=tf.int64
        )
        if max_examples is None:
            order = tf.random.experimental.stateless_shuffle(paths, epoch_seed)
            records = tf.data.Dataset.from_tensor_slices(order).interleave(
                tf.data.TFRecordDataset,
                cycle_length=min(len(paths), 8),
                num_parallel_calls=AUTOTUNE,
                deterministic=True,
            )
        else:
            records = read_in_order(paths).take(num_records)
        records = records.shuffle(
            min(num_records, shuffle_buffer), seed=epoch_seed[0], reshuffle_each_iteration=False
        )
        records = records.enumerate(epoch * num_records)
        return records.skip(tf.where(tf.equal(epoch, first_epoch), skipped, 0))

    last = tf.int64.max if num_epochs is None else num_epochs
    stream = tf.data.Dataset.range(first_epoch, last).flat_map(without_autograph(one_epoch))
    if num_partners == 0:
        return stream.map(
            without_autograph(lambda position, record: (position, record[tf.newaxis]))
        )

    def with_partners(positions: tf.Tensor, records: tf.Tensor) -> tf.data.Dataset:
        chosen = _partners(tf.shape(records)[0], num_partners, seed, positions[0])
        return tf.data.Dataset.from_tensor_slices((positions, tf.gather(records, chosen)))

    stream = stream.batch(PARTNER_WINDOW).flat_map(without_autograph(with_partners))
    return stream.filter(without_autograph(lambda position, _: position >= first))


def _partners(size: tf.Tensor, num_partners: int, seed: int, position: tf.Tensor) -> tf.Tensor:
    """Of each record of a window, its own index and its partners', int32 [size, 1 + partners]."""
    # The last window of all may have fewer than are needed: then photos repeat.
    others = tf.maximum(size - 1, 1)
    window_seed = tf.stack([tf.constant(seed, tf.int64), position])
    numbers = tf.random.stateless_uniform([size, tf.maximum(others, num_partners)], window_seed)
    offsets = 1 + tf.argsort(numbers, axis=1)[:, :num_partners] % others
    offsets = tf.pad(offsets, [[0, 0], [1, 0]])
    chosen = (tf.range(size)[:, tf.newaxis] + offsets) % size
    return tf.ensure_shape(chosen, [None, 1 + num_partners])
