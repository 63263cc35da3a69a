"""Imports PyAV, an optional dependency, when a video is opened."""

from __future__ import annotations

import types

from efficientvision.errors import UserError


def load_av() -> types.ModuleType:
    """Imports the module `av`.

    Raises:
        UserError: PyAV is not installed, or its libraries cannot be loaded.
    """
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"video needs PyAV ({error}): pip install 'efficientvision[video]'"
        ) from error
    return av
