"""Estimates the memory of training from measurements.

Measured on a CPU in float32 with Adam, as the process's peak: bytes for each pixel of the input are
the difference between two batch sizes, divided by the additional images' pixels.
"""

from __future__ import annotations

from efficientvision.configs import TrainingConfig
from efficientvision.registry import is_edge_network

# TensorFlow itself, the input pipeline, weights, gradients and optimizer slots.
FIXED_BYTES = 1.5 * 2**30

# Bytes for each pixel of the input. Measured: lite0, lite4, d0, d2, d4; others lie between.
_EFFICIENTDETS = {
    "efficientdet-lite0": 1400,
    "efficientdet-lite1": 2000,
    "efficientdet-lite2": 2400,
    "efficientdet-lite3": 3200,
    "efficientdet-lite3x": 3600,
    "efficientdet-lite4": 4300,
    "efficientdet-d0": 2750,
    "efficientdet-d1": 3400,
    "efficientdet-d2": 4200,
    "efficientdet-d3": 6000,
    "efficientdet-d4": 9000,
    "efficientdet-d5": 11500,
    "efficientdet-d6": 15000,
    "efficientdet-d7": 15000,
    "efficientdet-d7x": 18000,
}
# The same for backbones with the head of a classifier, an SSD or a segmenter. Measured: b0,
# espnetv2_s_1.0 and 2.0; larger EfficientNets by width times depth, the other networks by width.
_EFFICIENTNETS = {
    "efficientnet-b0": 2600,
    "efficientnet-b1": 3000,
    "efficientnet-b2": 3500,
    "efficientnet-b3": 4100,
    "efficientnet-b4": 6000,
    "efficientnet-b5": 8300,
    "efficientnet-b6": 11000,
    "efficientnet-b7": 14500,
    "efficientnet-lite0": 1300,
    "efficientnet-lite1": 1600,
    "efficientnet-lite2": 1900,
    "efficientnet-lite3": 2400,
    "efficientnet-lite4": 3400,
}
_EDGE_NETWORK, _PER_WIDTH = 500, 1000
_CHECKPOINTED, _HALF = 0.4, 0.6
# Of the memory for training, what a network needs that only predicts. Measured for d0 as the
# teacher of lite0: 0.13.
_PREDICTING = 0.15


def training_bytes(config: TrainingConfig) -> float:
    """Estimates the memory that each image of a batch needs in training, in bytes.

    Args:
        config: Hyper-parameters; the model, input size and precision count.

    Returns:
        Bytes, 0 for a model of another kind.
    """
    kept = _CHECKPOINTED if getattr(config, "grad_checkpoint", False) else 1.0
    return kept * _bytes_for(config.name, config)


def teacher_bytes(name: str, config: TrainingConfig) -> float:
    """Estimates the memory that a teacher needs for each image of a batch, in bytes.

    Args:
        name: The teacher's network.
        config: The student's hyper-parameters; input size and precision count.

    Returns:
        Bytes, 0 for a model of another kind.
    """
    return _PREDICTING * _bytes_for(name, config)


def _bytes_for(name: str, config: TrainingConfig) -> float:
    """Memory for training a network at the input size and precision of a configuration."""
    per_pixel = float(_EFFICIENTDETS.get(name) or _EFFICIENTNETS.get(name, 0))
    if is_edge_network(name):
        per_pixel = _EDGE_NETWORK + _PER_WIDTH * float(name.rpartition("_")[2])
    if config.mixed_precision:
        per_pixel *= _HALF
    height, width = config.image_hw
    return per_pixel * height * width
