"""PyAV, which is an extra: imported where a video is opened, and not before."""

from __future__ import annotations

import types

from efficientvision.errors import UserError


def load_av() -> types.ModuleType:
    """The module `av`.

    Raises:
        UserError: it is not installed, or its libraries cannot be loaded.
    """
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"video needs PyAV ({error}): pip install 'efficientvision[video]'"
        ) from error
    return av
