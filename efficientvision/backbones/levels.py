"""The levels of a backbone: level l has stride 2**l."""

LAST_LEVEL = 5


def check_max_level(max_level: int, num_classes: int | None = None) -> None:
    """Checks the last level of a backbone.

    Args:
        max_level: the last level that is built.
        num_classes: classes of its head, which needs the last level; None without a head.

    Raises:
        ValueError: there is no such level, or it leaves the head without its input.
    """
    if max_level not in range(2, LAST_LEVEL + 1):
        raise ValueError(f"max_level must be from 2 to {LAST_LEVEL}, got {max_level!r}.")
    if num_classes and max_level < LAST_LEVEL:
        raise ValueError(
            f"A classification head stands on level {LAST_LEVEL}, got max_level={max_level}: "
            "leave num_classes or max_level out."
        )
