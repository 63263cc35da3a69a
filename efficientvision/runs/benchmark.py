"""--runmode=bm: how fast the network is."""

import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.exports.frozen_graph import freeze, graph_function, write_chrome_trace
from efficientvision.exports.saved_model import network_function
from efficientvision.progress import tqdm
from efficientvision.runs import inspection
from efficientvision.tasks.choice import build_serving

log = logging.getLogger(__name__)


def run(settings: InspectSettings) -> np.ndarray:
    """Times the frozen network, without pre- and postprocessing, on noise.

    Returns:
        float64 [runs], seconds of each run.
    """
    loaded = inspection.load_for_export(settings)
    batch = settings.batch_size or 1
    serving = build_serving(loaded.model, loaded.config)
    function, outputs = network_function(serving, batch)
    graph = freeze(function, outputs)
    run_network = graph_function(graph, ["input:0"], [f"{name}:0" for name in outputs])
    height, width = loaded.config.image_hw
    noise = np.random.default_rng(0).normal(size=(batch, height, width, 3)).astype(np.float32)
    compiled = (
        tf.function(run_network, jit_compile=True, autograph=False)
        if settings.use_xla
        else run_network
    )
    images = tf.constant(noise)
    log.info(f"{loaded.config.name}, input {width}x{height} (WxH), batch {batch}")
    seconds = time_runs(lambda: compiled(images), settings)
    report(seconds, batch)
    if settings.trace_filename:
        fetches = [f"{name}:0" for name in outputs]
        write_chrome_trace(graph, {"input:0": noise}, fetches, settings.trace_filename)
        log.info(f"trace, for chrome://tracing: {settings.trace_filename}")
    return seconds


def time_runs(step: Callable[[], Any], settings: InspectSettings) -> np.ndarray:
    """Runs `step` and returns the seconds of each run after the warm-up."""
    runs = settings.bm_runs
    for index in range(settings.bm_runs_warmup):
        log.info(f"Warm up: {index} {_seconds(step):.4f}s")
    log.info(f"Start benchmark runs total={runs}")
    times = [_seconds(step) for _ in tqdm(range(runs), unit="run")]
    return np.array(times)


def report(seconds: np.ndarray, batch: int) -> None:
    """Prints mean and percentiles of the seconds of a batch, and images a second."""
    mean = seconds.mean()
    percentiles = np.percentile(seconds, [50, 90, 99])
    log.info(
        f"{len(seconds)} runs: mean {mean:.4f}s, "
        + ", ".join(
            f"p{p} {value:.4f}s" for p, value in zip((50, 90, 99), percentiles, strict=True)
        )
        + f", min {seconds.min():.4f}s, max {seconds.max():.4f}s"
    )
    log.info(f"Per batch inference time: {mean}")
    log.info(f"FPS: {batch / mean}")


def _seconds(step: Callable[[], Any]) -> float:
    start = time.perf_counter()
    for output in tf.nest.flatten(step()):
        np.asarray(output)
    return time.perf_counter() - start
