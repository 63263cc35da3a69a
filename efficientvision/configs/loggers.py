"""The names of loggers, as the option `log_to` has them. Imports none of them."""

from __future__ import annotations

from efficientvision.errors import UserError
from efficientvision.registry import nearest_names

TENSORBOARD = "tensorboard"
NO_LOGGER = "none"
# Name -> a function that only the installed package has: a folder `wandb` here is not it.
PACKAGES = {"wandb": "init", "mlflow": "MlflowClient"}
_NAMES = (TENSORBOARD, *PACKAGES, NO_LOGGER)


def logger_names(log_to: str) -> tuple[str, ...]:
    """Splits the option `log_to`; empty for "none".

    Raises:
        UserError: A name is unknown, or "none" is not alone.
    """
    names = tuple(dict.fromkeys(name.strip() for name in log_to.split(",") if name.strip()))
    for name in names:
        if name not in _NAMES:
            raise UserError(
                f"Unknown logger {name!r} in `log_to={log_to}`: expected {', '.join(_NAMES)}, or "
                f"several separated by commas. {nearest_names(name, _NAMES)}"
            )
    if NO_LOGGER in names or not names:
        if len(names) > 1:
            raise UserError(f"`log_to={log_to}`: none excludes other loggers.")
        return ()
    return names
