"""Streams of serialised records in training or evaluation order.

The training order depends only on (seed, epoch): a run that resumes at example n skips whole
epochs by counting, and the rest without decoding.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from efficientvision.files import size as file_size

AUTOTUNE = tf.data.AUTOTUNE

# Mix candidates (mosaic, MixUp) come from the same window of this many examples of the sequence.
MIX_WINDOW = 16
# Upper limit of the shuffle buffer, so that it does not take more memory than this.
SHUFFLE_RECORDS, SHUFFLE_BYTES = 1024, 256 << 20
_SAMPLED_FILES = 8


def without_autograph(function: Callable) -> Callable:
    """Exempts a function for `map` from AutoGraph's search for Python control flow.

    The library's functions contain none, and the search takes seconds.
    """
    return tf.autograph.experimental.do_not_convert(function)


def read_in_order(files: list[str]) -> tf.data.Dataset:
    """Reads the records of the files one after the other."""
    return tf.data.TFRecordDataset(files, buffer_size=1 << 20)


def default_shuffle_buffer(files: list[str], counts: list[int]) -> int:
    """Size of the shuffle buffer: 1024, or as many records of mean size as fit into 256 MB.

    Args:
        files: Record files; the mean size is taken from eight of them, evenly spread.
        counts: Number of records in each.
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
    num_mix_candidates: int,
    mix_until: int | None = None,
) -> tf.data.Dataset:
    """Builds the endless training sequence: records with their positions, epoch after epoch.

    A record may come with mix candidates, other records to combine it with. For this, the sequence
    is cut at fixed positions into windows of ``MIX_WINDOW`` records, and candidates are drawn
    within the window, without repetition. So example n consists of the same photos whatever the
    batch size, the number of readers or the step at which a run resumes. Combining within a batch
    would give two workers other pictures than one, and could not combine anything in a batch of
    one.

    Args:
        files, counts: Record files, and the number of records in each.
        num_records: Number of records per epoch.
        seed: Seed of the order and of the mix candidates.
        first: Position to start at.
        num_epochs: Stop after this many epochs; None: never.
        shuffle_buffer: Number of records to shuffle among.
        max_examples: Use only this many records, the first in shard order; None: all.
        num_mix_candidates: Number of mix candidates, less than ``MIX_WINDOW``.
        mix_until: Position from which on the candidates are empty strings, which cost nothing;
            None: never.

    Returns:
        (position int64 [], serialized records string [1 + num_mix_candidates]).
    """
    begin = first // MIX_WINDOW * MIX_WINDOW if num_mix_candidates else first
    first_epoch, skipped = divmod(begin, num_records)
    first_epoch, skipped = tf.constant(first_epoch, tf.int64), tf.constant(skipped, tf.int64)
    paths = [path for path, count in zip(files, counts, strict=True) if count]

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        # `shuffle` mixes in the global seed (and fails if that is 0); this sets only the seed of
        # the graph that the function is traced into.
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
    if num_mix_candidates == 0:
        return stream.map(
            without_autograph(lambda position, record: (position, record[tf.newaxis]))
        )

    def with_candidates(positions: tf.Tensor, records: tf.Tensor) -> tf.data.Dataset:
        size = tf.shape(records)[0]
        chosen = _mix_candidates(size, num_mix_candidates, seed, positions[0])
        if mix_until is not None:
            none = tf.fill([size, num_mix_candidates], size)
            alone = tf.concat([tf.range(size)[:, tf.newaxis], none], axis=1)
            chosen = tf.where((positions < mix_until)[:, tf.newaxis], chosen, alone)
            records = tf.concat([records, [""]], axis=0)
        return tf.data.Dataset.from_tensor_slices((positions, tf.gather(records, chosen)))

    stream = stream.batch(MIX_WINDOW).flat_map(without_autograph(with_candidates))
    return stream.filter(without_autograph(lambda position, _: position >= first))


def _mix_candidates(
    size: tf.Tensor, num_mix_candidates: int, seed: int, position: tf.Tensor
) -> tf.Tensor:
    """Index of each record of a window and of its mix candidates, int32 [size, 1 + candidates]."""
    # The very last window may have fewer records than needed; then photos repeat.
    others = tf.maximum(size - 1, 1)
    window_seed = tf.stack([tf.constant(seed, tf.int64), position])
    numbers = tf.random.stateless_uniform(
        [size, tf.maximum(others, num_mix_candidates)], window_seed
    )
    offsets = 1 + tf.argsort(numbers, axis=1)[:, :num_mix_candidates] % others
    offsets = tf.pad(offsets, [[0, 0], [1, 0]])
    chosen = (tf.range(size)[:, tf.newaxis] + offsets) % size
    return tf.ensure_shape(chosen, [None, 1 + num_mix_candidates])
