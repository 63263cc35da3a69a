"""Records -> batches: the part that the input pipelines of all tasks share."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import tensorflow as tf

from efficientvision.data.record_files import FilePattern, count_records, match_files
from efficientvision.data.service import through_service
from efficientvision.data.streams import (
    AUTOTUNE,
    default_shuffle_buffer,
    read_in_order,
    training_stream,
    without_autograph,
)
from efficientvision.errors import UserError

Example = dict[str, tf.Tensor]


class RecordReader:
    """Reads records in training or evaluation order and turns them into examples and batches.

    Args:
        file_pattern: See `efficientvision.data.record_files.match_files`.
        batch_size: Examples per batch.
        training: Shuffle and repeat; otherwise read once, in order.
        seed: Seed of order and augmentation; None: a different one each time.
        deterministic: Keep the order despite parallel reading; None: only if a seed is given.
        start_step: Training: start at this batch of the endless sequence (resume).
        num_epochs: Training: stop after this many epochs; None: never.
        max_examples: Use only this many records, the first in shard order.
        shuffle_buffer: Number of encoded records to shuffle among; None: see
            `efficientvision.data.streams.default_shuffle_buffer`.
        input_shard: (index, count): this reader gets every count-th example; ``batch_size`` and
            ``start_step`` then refer to its share.
        num_parallel_calls: Parallel decoders; None: tuned by tf.data.
        data_service: Training: address of a tf.data service that does the work, or None; see
            `efficientvision.data.service.through_service`. Order and ``start_step`` are
            then only approximate.

    Attributes:
        seed: The given seed, or the one drawn.

    Raises:
        UserError: There are no files or records, or the batch size is below 1.
    """

    def __init__(
        self,
        file_pattern: FilePattern,
        *,
        batch_size: int,
        training: bool,
        seed: int | None = None,
        deterministic: bool | None = None,
        start_step: int = 0,
        num_epochs: int | None = None,
        max_examples: int | None = None,
        shuffle_buffer: int | None = None,
        input_shard: tuple[int, int] = (0, 1),
        num_parallel_calls: int | None = None,
        data_service: str | None = None,
    ):
        self._paths = match_files(file_pattern)
        self._counts = count_records(self._paths)
        available = sum(self._counts)
        self._num_records = available if max_examples is None else min(available, max_examples)
        if self._num_records < 1:
            raise UserError(f"The files matching {file_pattern!r} contain no records.")
        if batch_size < 1:
            raise UserError(f"The batch size must be at least 1, got {batch_size}.")
        if deterministic is None:
            deterministic = seed is not None
        self.seed = random.SystemRandom().randrange(2**31) if seed is None else seed
        self._in_order = deterministic or not training
        self._batch_size = batch_size
        self._training = training
        self._start_step = start_step
        self._num_epochs = num_epochs
        self._max_examples = max_examples
        self._shuffle_buffer = shuffle_buffer
        self._input_shard = input_shard
        self._num_parallel_calls = num_parallel_calls
        self._data_service = data_service

    @property
    def share(self) -> int:
        """Number of records per epoch that this reader gets."""
        index, num_readers = self._input_shard
        return len(range(index, self._num_records, num_readers))

    def examples(
        self,
        load: Callable[[tf.Tensor, tf.Tensor], Example],
        num_mix_candidates: int = 0,
        mix_until: int | None = None,
    ) -> tf.data.Dataset:
        """Turns records into examples, in parallel.

        Args:
            load: (position int64 [], record) -> example; the record is a string tensor,
                [1 + num_mix_candidates] for training and [] for evaluation.
            num_mix_candidates: Training: number of other records that come with each, to be
                combined with it.
            mix_until: Training: position from which on the other records are empty strings; None:
                never.
        """
        return self._stream(num_mix_candidates, mix_until).map(
            without_autograph(load),
            num_parallel_calls=self._num_parallel_calls or AUTOTUNE,
            deterministic=self._in_order,
        )

    def batches(
        self,
        examples: tf.data.Dataset,
        *,
        drop_remainder: bool | None = None,
        fill: Mapping[str, int] | None = None,
    ) -> tf.data.Dataset:
        """Batches examples, on a tf.data service if there is one, and prefetches them.

        Args:
            examples: Dicts of tensors.
            drop_remainder: Drop an incomplete last batch; None: only when training.
            fill: Tensors whose size may differ within a batch -> the value that pads the smaller
                ones.
        """
        if drop_remainder is None:
            drop_remainder = self._training
        if fill:
            dataset = examples.padded_batch(
                self._batch_size,
                padding_values={
                    name: tf.constant(fill[name], spec.dtype) if name in fill else None
                    for name, spec in examples.element_spec.items()
                },
                drop_remainder=drop_remainder,
            )
        else:
            dataset = examples.batch(self._batch_size, drop_remainder=drop_remainder)
        options = tf.data.Options()
        options.deterministic = self._in_order
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        dataset = dataset.with_options(options)
        if self._data_service is not None:
            dataset = through_service(dataset, self._data_service)
        return dataset.prefetch(2)

    def _stream(self, num_mix_candidates: int, mix_until: int | None) -> tf.data.Dataset:
        """Dataset of (position int64 [], record): endless and shuffled, or once and in order."""
        index, num_readers = self._input_shard
        if self._training:
            stream = training_stream(
                self._paths,
                self._counts,
                num_records=self._num_records,
                seed=self.seed,
                first=self._start_step * self._batch_size * num_readers,
                num_epochs=self._num_epochs,
                shuffle_buffer=self._shuffle_buffer
                or default_shuffle_buffer(self._paths, self._counts),
                max_examples=self._max_examples,
                num_mix_candidates=num_mix_candidates,
                mix_until=mix_until,
            )
        else:
            stream = read_in_order(self._paths).take(self._num_records).enumerate()
        if num_readers > 1:
            own = without_autograph(lambda position, _: tf.equal(position % num_readers, index))
            stream = stream.filter(own)
        return stream
