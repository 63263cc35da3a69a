"""Streams of serialized records -> batches: what the tasks' input pipelines share."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from efficientvision.data.record_files import FilePattern, count_records, match_files
from efficientvision.data.service import through_service
from efficientvision.data.streams import (
    AUTOTUNE,
    default_shuffle_buffer,
    read_in_order,
    training_stream,
)
from efficientvision.errors import UserError


@dataclass(frozen=True)
class RecordSet:
    """The record files of a pattern.

    Attributes:
        paths: the files.
        counts: records of each.
        num_records: records of an epoch.
    """

    paths: list[str]
    counts: list[int]
    num_records: int


def open_records(file_pattern: FilePattern, max_examples: int | None = None) -> RecordSet:
    """Finds and counts records.

    Args:
        file_pattern: see :func:`efficientvision.data.record_files.match_files`.
        max_examples: only the first so many records (in shard order); None: all.

    Raises:
        UserError: no files, or no records.
    """
    paths = match_files(file_pattern)
    counts = count_records(paths)
    num_records = sum(counts)
    if max_examples is not None:
        num_records = min(num_records, max_examples)
    if num_records < 1:
        raise UserError(f"The files of {file_pattern!r} hold no records.")
    return RecordSet(paths, counts, num_records)


def settled_seed(seed: int | None, deterministic: bool | None) -> tuple[int, bool]:
    """(seed, whether the order is kept): without a seed another one each time, in any order."""
    if deterministic is None:
        deterministic = seed is not None
    return random.SystemRandom().randrange(2**31) if seed is None else seed, deterministic


def stream_of(
    records: RecordSet,
    *,
    training: bool,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    num_epochs: int | None = None,
    max_examples: int | None = None,
    shuffle_buffer: int | None = None,
    input_shard: tuple[int, int] = (0, 1),
    num_partners: int = 0,
) -> tf.data.Dataset:
    """Records with their positions: endless and shuffled, or once and in order.

    The arguments are those of the pipelines.

    Returns:
        (position int64 [], record): training: string [1 + num_partners]; else string [].
    """
    index, num_readers = input_shard
    if training:
        stream = training_stream(
            records.paths,
            records.counts,
            num_records=records.num_records,
            seed=seed,
            first=start_step * batch_size * num_readers,
            num_epochs=num_epochs,
            shuffle_buffer=shuffle_buffer or default_shuffle_buffer(records.paths, records.counts),
            max_examples=max_examples,
            num_partners=num_partners,
        )
    else:
        stream = read_in_order(records.paths).take(records.num_records).enumerate()
    if num_readers > 1:
        stream = stream.filter(lambda position, _: tf.equal(position % num_readers, index))
    return stream


def loaded(
    stream: tf.data.Dataset,
    load: Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]],
    *,
    deterministic: bool,
    num_parallel_calls: int | None = None,
) -> tf.data.Dataset:
    """The examples that `load` makes of (position, record), in parallel."""
    return stream.map(
        # Nothing here is for AutoGraph to rewrite, and looking for it would take seconds.
        tf.autograph.experimental.do_not_convert(load),
        num_parallel_calls=num_parallel_calls or AUTOTUNE,
        deterministic=deterministic,
    )


def batched(
    examples: tf.data.Dataset,
    batch_size: int,
    *,
    drop_remainder: bool,
    deterministic: bool,
    data_service: str | None = None,
    fill: Mapping[str, int] | None = None,
) -> tf.data.Dataset:
    """Batches, perhaps made by a tf.data service, fetched ahead.

    Args:
        examples: dicts of tensors.
        batch_size: examples a batch.
        drop_remainder: drop an incomplete last batch.
        deterministic: keep the order.
        data_service: address of a tf.data service, or None.
        fill: the tensors whose size may differ within a batch, and what fills up the smaller ones.
    """
    if fill:
        dataset = examples.padded_batch(
            batch_size,
            padding_values={
                name: tf.constant(fill[name], spec.dtype) if name in fill else None
                for name, spec in examples.element_spec.items()
            },
            drop_remainder=drop_remainder,
        )
    else:
        dataset = examples.batch(batch_size, drop_remainder=drop_remainder)
    options = tf.data.Options()
    options.deterministic = deterministic
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    dataset = dataset.with_options(options)
    if data_service is not None:
        dataset = through_service(dataset, data_service)
    return dataset.prefetch(2)
