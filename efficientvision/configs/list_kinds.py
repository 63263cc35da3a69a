"""Types of hyper-parameters that are lists of numbers."""

from __future__ import annotations

from typing import Any

from efficientvision.configs.kinds import Kind, integer, number


def _epochs(value: Any) -> tuple[int, ...]:
    items = value if isinstance(value, (tuple, list)) else [value]
    epochs = tuple(integer(minimum=1).convert(item) for item in items)
    if list(epochs) != sorted(set(epochs)):
        raise ValueError
    return epochs


EPOCHS = Kind("a list of epochs in increasing order", _epochs)


def number_range(minimum: float, maximum: float | None = None) -> Kind:
    """Two numbers within bounds, the second not below the first."""
    one = number(minimum, maximum)

    def convert(value: Any) -> tuple[float, float]:
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise ValueError
        low, high = (one.convert(item) for item in value)
        if low > high:
            raise ValueError
        return low, high

    return Kind(f"two values, the lower first, each {one.expects}", convert)
