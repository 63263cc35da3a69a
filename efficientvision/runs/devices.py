"""Selects the devices of a run from its options: one device, several GPUs or workers, a TPU."""

from __future__ import annotations

import contextlib
import logging
import os

import tensorflow as tf

from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.training.cluster import choose_strategy, find_cluster
from efficientvision.training.distribution import build_strategy, local_replicas, worker_index
from efficientvision.training.tpu import check_cores

log = logging.getLogger(__name__)


def grow_gpu_memory() -> None:
    """Lets TensorFlow allocate GPU memory as needed, instead of nearly all of it at once.

    Other programs can then share the GPU, and `nvidia-smi` shows what a run really needs. Call it
    before TensorFlow has used a device. TF_FORCE_GPU_ALLOW_GROWTH=false in the environment takes
    precedence.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        # Too late: this process has already used its GPUs.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)


def wants_tpu(options: RunOptions) -> bool:
    """Whether the options ask for a TPU.

    Raises:
        UserError: The options contradict each other.
    """
    if options.use_tpu is False and options.tpu:
        raise UserError(f"`use_tpu=False` and `tpu={options.tpu}` exclude each other: remove one.")
    return bool(options.use_tpu or options.tpu)


def connect(options: RunOptions, config: TrainingConfig) -> tf.distribute.Strategy:
    """Creates the strategy of a training run; call it before any TensorFlow operation.

    On a TPU, batch normalisation is synchronised unless `config` says otherwise, because each core
    sees too few images.

    Raises:
        UserError: The options exclude each other, or there is no such device.
    """
    name = config.strategy
    tpu = wants_tpu(options)
    if options.cpu_replicas > 1:
        if tpu or name not in (None, "gpus") or find_cluster(os.environ):
            raise UserError(
                f"`cpu_replicas={options.cpu_replicas}` splits the CPU of one machine: remove "
                "`strategy`, `tpu` and other workers (TF_CONFIG, srun)."
            )
        name = "gpus"
    gpus = len(tf.config.list_physical_devices("GPU"))
    name = choose_strategy(name, cluster=find_cluster(os.environ), tpu=tpu, gpus=gpus)
    strategy = build_strategy(
        name,
        tpu=options.tpu,
        tpu_zone=options.tpu_zone,
        gcp_project=options.gcp_project,
        cpu_replicas=options.cpu_replicas,
    )
    if name == "tpu":
        if "num_cores" in options.written:
            check_cores(strategy, options.num_cores)
        if not config.is_set("sync_bn"):
            config.override({"sync_bn": True})
    elif options.use_xla and strategy.num_replicas_in_sync > 1:
        raise UserError(
            "`use_xla` only works with one replica, but there are "
            f"{strategy.num_replicas_in_sync}: remove it."
        )
    decided = options.defaults != "data" or "train_batch_size" in options.written
    log.info(describe(name, strategy, options.train_batch_size if decided else None))
    return strategy


def connect_for_evaluation(options: RunOptions) -> tf.distribute.Strategy:
    """Creates the strategy for `mode=eval`, which runs on one machine."""
    if options.strategy == "multi_worker":
        raise UserError("`mode=eval` runs on one machine: remove `strategy=multi_worker`.")
    gpus = len(tf.config.list_physical_devices("GPU"))
    name = choose_strategy(options.strategy, tpu=wants_tpu(options), gpus=gpus)
    return build_strategy(
        name, tpu=options.tpu, tpu_zone=options.tpu_zone, gcp_project=options.gcp_project
    )


def describe(name: str, strategy: tf.distribute.Strategy, batch_size: int | None) -> str:
    """Describes strategy, replicas, workers and the batch per replica, if known, in one line."""
    replicas = strategy.num_replicas_in_sync
    workers = replicas // local_replicas(strategy)
    where = ""
    if workers > 1:
        where = f" on {workers} workers, this is worker {worker_index(strategy)}"
    counted = f"{replicas} replica{'s' if replicas > 1 else ''}"
    if batch_size is None:
        return f"Strategy {name}: {counted}{where}."
    each, rest = divmod(batch_size, replicas)
    share = (
        f"{each} on each replica" if not rest else f"which {replicas} replicas cannot split evenly"
    )
    return f"Strategy {name}: {counted}{where}. A batch of {batch_size} images, {share}."
