"""Efficient vision networks in Keras 3: EfficientDet with BiFPN, QuFPN and VFPN.

The public names load on first use, so that importing the package imports no deep learning library.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "build_from_config": "efficientvision.api",
    "build_model": "efficientvision.api",
    "list_models": "efficientvision.registry",
    "load_weights": "efficientvision.api",
    "Classifier": "efficientvision.classifier",
    "Detector": "efficientvision.detector",
    "Segmenter": "efficientvision.segmenter",
    "UserError": "efficientvision.errors",
    "get_config": "efficientvision.configs",
}
__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted([*globals(), *__all__])
