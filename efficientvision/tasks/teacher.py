"""Distillation: a student learns what a larger, already trained network of its kind outputs."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from efficientvision.configs import TrainingConfig
from efficientvision.errors import UserError

log = logging.getLogger(__name__)

# Key of the teacher in the state of a training task.
TEACHER = "teacher"


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A trained network whose outputs a student learns.

    It is not part of the student: its variables are not trained, averaged, decayed or saved.

    Attributes:
        model: The network, at the student's input size, with the weights used for inference.
        config: Its hyper-parameters; `mean_rgb` and `stddev_rgb` are its own preprocessing.
        own_classes: Positions in the student's class outputs of the classes that both have.
        classes: Positions of the same classes in the teacher's class outputs.
        path: Where it was loaded from.
        weights_hash: `weights_hash` of its weights.
    """

    model: keras.Model
    config: TrainingConfig
    own_classes: Sequence[int]
    classes: Sequence[int]
    path: str
    weights_hash: str

    def noted(self) -> dict[str, str]:
        """Returns what a checkpoint notes about it."""
        return {"path": self.path, "sha256": self.weights_hash}

    def of_student(self, values: tf.Tensor) -> tf.Tensor:
        """The shared classes of the student's outputs [..., K], float32 [..., shared]."""
        return _chosen(values, self.own_classes)

    def of_teacher(self, values: tf.Tensor) -> tf.Tensor:
        """The same classes of the teacher's outputs [..., K'], float32 [..., shared]."""
        return tf.stop_gradient(_chosen(values, self.classes))


def _chosen(values: tf.Tensor, columns: Sequence[int]) -> tf.Tensor:
    values = tf.cast(values, tf.float32)
    if list(columns) == list(range(values.shape[-1])):
        return values
    return tf.gather(values, tf.constant(list(columns), tf.int32), axis=-1)


def weights_hash(model: keras.Model) -> str:
    """Returns the SHA-256 of a network's weights, independent of the file that they come from."""
    digest = hashlib.sha256()
    for variable in sorted(model.weights, key=lambda v: v.path):
        digest.update(variable.path.encode())
        digest.update(np.ascontiguousarray(variable.numpy(), np.float32).tobytes())
    return digest.hexdigest()


def log_changed_teacher(noted: Mapping[str, Any] | None, teacher: Teacher | None) -> None:
    """Logs how the teacher of a resumed run differs from the one noted in its checkpoint.

    Args:
        noted: `Teacher.noted` of the checkpoint; None if it had no teacher.
        teacher: The teacher from now on, or None.
    """
    if teacher is None:
        if noted is not None:
            log.warning(
                f"Warning: so far this run learned from {noted['path']}; without `distill_from` "
                "it continues without a teacher."
            )
    elif noted is None:
        log.info(f"From now on this run also learns from {teacher.path}; so far it did not.")
    elif noted["sha256"] != teacher.weights_hash:
        before = noted["path"] if noted["path"] != teacher.path else "other weights of it"
        log.warning(
            f"Warning: the teacher is {teacher.path} (weights {teacher.weights_hash[:12]}) from "
            f"now on; so far this run learned from {before} ({noted['sha256'][:12]})."
        )


def soft_class_loss(
    logits: tf.Tensor, teacher_logits: tf.Tensor, *, temperature: float, exclusive: bool
) -> tf.Tensor:
    """Divergence of a student's class distribution from its teacher's, softened by a temperature.

    It is T^2 KL(p || q) of p = softmax(teacher / T) and q = softmax(student / T), for classes that
    do not exclude each other the sum over the classes of the same with the sigmoid. T^2 keeps the
    gradient's size independent of T. The gradient is that of the cross entropy with p as target;
    the divergence is 0 when both agree.

    Args:
        logits: float32 [..., K].
        teacher_logits: float32 [..., K].
        temperature: T.
        exclusive: Whether exactly one class applies.

    Returns:
        float32 [...].

    Reference: Hinton, Vinyals, Dean 2015, https://arxiv.org/abs/1503.02531, section 2.
    """
    ours, theirs = logits / temperature, teacher_logits / temperature
    if exclusive:
        log_p = tf.nn.log_softmax(theirs)
        divergence = tf.reduce_sum(tf.exp(log_p) * (log_p - tf.nn.log_softmax(ours)), axis=-1)
    else:
        p = tf.sigmoid(theirs)
        entropy_of = tf.nn.sigmoid_cross_entropy_with_logits
        divergence = tf.reduce_sum(entropy_of(p, ours) - entropy_of(p, theirs), axis=-1)
    return temperature**2 * divergence


def check_exclusive_classes(teacher: Teacher) -> None:
    """Raises UserError if only one class is shared where classes exclude each other."""
    if len(teacher.classes) < 2:
        raise UserError(
            f"`distill_from={teacher.path}` shares only one class with this network, whose "
            "probability is 1 among the shared ones: use a teacher of at least two of its classes."
        )
