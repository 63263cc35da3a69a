"""Distribution strategies: by name, sharing data, and agreement between replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.tasks.training_task import Batch
from efficientvision.training.tpu import tpu_strategy


def build_strategy(
    name: str | None,
    *,
    tpu: str | None = None,
    tpu_zone: str | None = None,
    gcp_project: str | None = None,
    cpu_replicas: int = 1,
) -> tf.distribute.Strategy:
    """Builds the distribution strategy of a run. Call it before any TensorFlow operation.

    Args:
        name: "none", "" or None (one device, chosen by TensorFlow); "gpus" (all GPUs of this
            machine, one replica each); "multi_worker" (the cluster in the environment variable
            TF_CONFIG, using all GPUs of each machine, or its CPU); "tpu".
        tpu: Name or address of the TPU; None means the one of this machine.
        tpu_zone, gcp_project: Where the TPU is; None means ask Google's metadata service.
        cpu_replicas: With "gpus": number of replicas that share the CPU, instead of GPUs.

    Returns:
        The strategy.

    Raises:
        UserError: The name is unknown, or there is no such device.
    """
    if name in (None, "", "none"):
        return tf.distribute.get_strategy()
    if name == "gpus":
        return _mirrored(cpu_replicas)
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        return tpu_strategy(tpu, tpu_zone, gcp_project)
    raise UserError(f"`strategy` must be none, gpus, multi_worker or tpu; got {name!r}.")


def _mirrored(cpu_replicas: int) -> tf.distribute.Strategy:
    if cpu_replicas > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * cpu_replicas
        tf.config.set_logical_device_configuration(cpu, parts)
        return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(cpu_replicas)])
    if not tf.config.list_logical_devices("GPU"):
        raise UserError(
            "`strategy=gpus` needs a GPU, and TensorFlow sees none on this machine; leave it out "
            "to train on the CPU."
        )
    return tf.distribute.MirroredStrategy()


def worker_index(strategy: tf.distribute.Strategy) -> int:
    """Index of this process among the workers; 0 is the chief, the only one that writes."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver is None:
        return 0
    chiefs = resolver.cluster_spec().as_dict().get("chief", [])
    offset = len(chiefs) if resolver.task_type == "worker" else 0
    return int(resolver.task_id or 0) + offset


def local_replicas(strategy: tf.distribute.Strategy) -> int:
    """Number of replicas in this process: all of them, unless there are other workers."""
    one = strategy.num_replicas_in_sync == 1
    return 1 if one else len(strategy.extended.worker_devices)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes checkpoints, logs and pictures."""
    return worker_index(strategy) == 0


def check_shares(batch_size: int, strategy: tf.distribute.Strategy, micro_batches: int) -> None:
    """Raises UserError if a batch cannot be divided among replicas and micro-batches."""
    parts = strategy.num_replicas_in_sync * micro_batches
    if batch_size % parts:
        devices = f"{strategy.num_replicas_in_sync} devices"
        micro = f"{micro_batches} micro-batches (gradient_accumulation)"
        divisors = [devices] * (parts > micro_batches) + [micro] * (micro_batches > 1)
        raise UserError(
            f"`train_batch_size={batch_size}` must be a multiple of {parts}: it is divided "
            f"among {' with '.join(divisors)}{' each' if len(divisors) > 1 else ''}."
        )


def share_out(
    strategy: tf.distribute.Strategy,
    read: Callable[..., tf.data.Dataset],
    batch_size: int,
    start_step: int,
) -> Iterable[Batch]:
    """Batches for `strategy.run`: the replicas together see the same batches as one device.

    Worker w of W reads examples w, w + W, ... of the single endless sequence, so that each step
    covers exactly the examples that one replica alone would have used.

    Args:
        strategy: The run's strategy.
        read: `read(batch_size, start_step=, input_shard=(index, count))` returns endless batches of
            every count-th example; batch size and step are those of the shard.
        batch_size: Images in the global batch, a multiple of the number of replicas.
        start_step: Number of global batches already seen.

    Returns:
        An iterable; its iterator can be used inside a `tf.function`.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return read(batch_size, start_step=start_step, input_shard=(0, 1)).prefetch(
            tf.data.AUTOTUNE
        )

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        workers = context.num_input_pipelines
        data = read(
            batch_size // replicas,
            start_step=start_step * (replicas // workers),
            input_shard=(context.input_pipeline_id, workers),
        )
        # For data known to be endless, TensorFlow need not ask every worker at each step for more.
        data = data.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        return data.prefetch(tf.data.AUTOTUNE)

    return strategy.distribute_datasets_from_function(of_worker)


def on_any_worker(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Whether `flag` is set on any worker. All workers must call it at the same point."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return flag
    values = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(float(flag))
    )
    return bool(strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None) > 0)


def from_chief(strategy: tf.distribute.Strategy, value: float) -> float:
    """The chief's value, on every worker. All workers must call it at the same point.

    Args:
        strategy: The run's strategy.
        value: A number that float32 represents exactly; ignored on the other workers.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return value

    def own(context: tf.distribute.ValueContext) -> tf.Tensor:
        return tf.constant(value if context.replica_id_in_sync_group == 0 else 0.0, tf.float32)

    values = strategy.experimental_distribute_values_from_function(own)
    return float(strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None))


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns once every worker has called it.

    Without it, a worker that finishes while others still run would look dead to them.
    """
    from_chief(strategy, 0.0)


def average_statistics(strategy: tf.distribute.Strategy, variables: Sequence) -> None:
    """Replaces each replica's moving statistics by their mean over the replicas of all workers.

    Without synchronised batch normalisation, every replica has statistics of its own part of the
    batches, but a checkpoint or an evaluation needs one set. All workers must call it at the same
    point.

    Args:
        strategy: The run's strategy; does nothing with one replica.
        variables: Keras variables, or TensorFlow variables, to average.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    values = [v if isinstance(v, tf.Variable) else v.value for v in variables]
    values = [v for v in values if v.dtype.is_floating]
    if not values:
        return
    copies = [strategy.experimental_local_results(v) for v in values]
    first = worker_index(strategy) * local_replicas(strategy)

    def of_replica(context: tf.distribute.ValueContext) -> tf.Tensor:
        # One vector: one collective instead of hundreds.
        own = context.replica_id_in_sync_group - first
        return tf.concat([tf.reshape(c[own], [-1]) for c in copies], axis=0)

    joined = strategy.experimental_distribute_values_from_function(of_replica)
    mean = strategy.reduce(tf.distribute.ReduceOp.MEAN, joined, axis=None)
    parts = tf.split(mean, [v.shape.num_elements() for v in values])
    for variable, part in zip(values, parts, strict=True):
        variable.assign(tf.reshape(part, variable.shape))
