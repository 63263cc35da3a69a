"""What a program computes on, from flags: one device, several GPUs, several workers, a TPU."""

from __future__ import annotations

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


def wants_tpu(options: RunOptions) -> bool:
    """Whether the flags ask for a TPU.

    Raises:
        UserError: They ask for one and against one.
    """
    if options.use_tpu is False and options.tpu:
        raise UserError(
            f"`use_tpu=False` and `tpu={options.tpu}` exclude each other: leave one out."
        )
    return bool(options.use_tpu or options.tpu)


def connect(options: RunOptions, config: TrainingConfig) -> tf.distribute.Strategy:
    """The strategy of a training run. Call it before any TensorFlow operation.

    On a TPU, batch normalisation is synchronised unless `config` says otherwise: a core sees too
    few images.

    Raises:
        UserError: The flags exclude each other, or there is no such device.
    """
    name = config.strategy
    tpu = wants_tpu(options)
    if options.cpu_replicas > 1:
        if tpu or name not in (None, "gpus") or find_cluster(os.environ):
            raise UserError(
                f"`cpu_replicas={options.cpu_replicas}` makes replicas of one machine's CPU: leave "
                "`strategy`, `tpu` and other workers (TF_CONFIG, srun) out."
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
            "`use_xla` compiles the step of one replica, and there are "
            f"{strategy.num_replicas_in_sync}: leave it out."
        )
    log.info(describe(name, strategy, options.train_batch_size))
    return strategy


def connect_for_evaluation(options: RunOptions) -> tf.distribute.Strategy:
    """The strategy of `--mode=eval`, which runs on one machine."""
    if options.strategy == "multi_worker":
        raise UserError("`mode=eval` runs on one machine: leave `strategy=multi_worker` out.")
    gpus = len(tf.config.list_physical_devices("GPU"))
    name = choose_strategy(options.strategy, tpu=wants_tpu(options), gpus=gpus)
    return build_strategy(
        name, tpu=options.tpu, tpu_zone=options.tpu_zone, gcp_project=options.gcp_project
    )


def describe(name: str, strategy: tf.distribute.Strategy, batch_size: int) -> str:
    """One line: strategy, replicas, workers, and how the batch is divided among them."""
    replicas = strategy.num_replicas_in_sync
    workers = replicas // local_replicas(strategy)
    where = ""
    if workers > 1:
        where = f" on {workers} workers, this is worker {worker_index(strategy)}"
    counted = f"{replicas} replica{'s' if replicas > 1 else ''}"
    each, rest = divmod(batch_size, replicas)
    share = f"{each} on each replica" if not rest else f"which {replicas} replicas cannot share"
    return f"Strategy {name}: {counted}{where}. A batch of {batch_size} images, {share}."
