"""Optimizers of the training loop: SGD with momentum, Adam, AdamW."""

from __future__ import annotations

import keras

from efficientvision.errors import UserError
from efficientvision.training.gradients import is_regularized

OPTIMIZERS = ("sgd", "adam", "adamw")


def build_optimizer(
    name: str,
    learning_rate,
    *,
    momentum: float = 0.9,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float = 0.0,
) -> keras.optimizers.Optimizer:
    """Builds an optimizer by name.

    Clipping and averaging are not the optimizer's: Keras clips on each replica before the
    gradients are summed, see `gradients.clip_gradients` and `averaging.WeightAverages`.

    Args:
        name: "sgd" (momentum), "adam" or "adamw".
        learning_rate: Number or schedule.
        momentum: Momentum of "sgd".
        beta_1: First-moment decay of "adam" and "adamw".
        beta_2: Second-moment decay of "adam" and "adamw".
        epsilon: Denominator's constant of "adam" and "adamw".
        weight_decay: Decoupled decay of "adamw" (kernels only). The other two leave it to the L2
            penalty in the loss.

    Returns:
        The optimizer, not built.

    Raises:
        UserError: If the name is unknown.
    """
    if name == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum=momentum)
    moments = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    if name == "adam":
        return keras.optimizers.Adam(learning_rate, **moments)
    if name == "adamw":
        return keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, **moments)
    raise UserError(f"optimizer must be one of {', '.join(OPTIMIZERS)}; got {name!r}.")


def build_variables(optimizer: keras.optimizers.Optimizer, trainables: list) -> None:
    """Creates the optimizer's slots for `trainables`; for AdamW, limits the decay to kernels."""
    if isinstance(optimizer, keras.optimizers.AdamW):
        excluded = [v for v in trainables if not is_regularized(v.path)]
        optimizer.exclude_from_weight_decay(var_list=excluded)
    optimizer.build(trainables)


def uses_l2_loss(name: str) -> bool:
    """Whether the L2 penalty belongs in the loss (AdamW decays the weights itself)."""
    return name != "adamw"
