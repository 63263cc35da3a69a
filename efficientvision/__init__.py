"""Efficient vision networks in Keras 3: EfficientDet with BiFPN, QuFPN and VFPN.

Public names are loaded on first use, so importing the package imports no deep learning library. The
layers are registered when Keras is imported, before or after this package, so that
`keras.saving.load_model` finds them.
"""

import importlib
import importlib.util
import sys

__version__ = "0.1.0"

_HOMES = {
    "build_from_config": "efficientvision.api",
    "build_model": "efficientvision.api",
    "list_models": "efficientvision.registry",
    "load_weights": "efficientvision.api",
    "FitDetector": "efficientvision.tasks.detection.fit",
    "benchmark": "efficientvision.runs.calls",
    "compare": "efficientvision.runs.compare",
    "evaluate": "efficientvision.runs.calls",
    "export": "efficientvision.runs.calls",
    "load": "efficientvision.runs.load",
    "predict": "efficientvision.runs.predict",
    "push": "efficientvision.runs.push",
    "train": "efficientvision.runs.calls",
    "show_progress": "efficientvision.progress",
    "Classifier": "efficientvision.tasks.classification.predictor",
    "Detector": "efficientvision.tasks.detection.predictor",
    "Segmenter": "efficientvision.tasks.segmentation.predictor",
    "UserError": "efficientvision.errors",
    "get_config": "efficientvision.tasks.choice",
}
__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted([*globals(), *__all__])


def _register_layers():
    """Imports all modules with layers; each registers its own with Keras."""
    for name in ("detection.efficientdet", "detection.ssd", "segmentation.network"):
        importlib.import_module(f"efficientvision.tasks.{name}")


class _LayersAfterKeras:
    """Registers the layers at the end of the first import of Keras (see `sys.meta_path`)."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            run = spec.loader.exec_module

            def run_and_register(module):
                run(module)
                _register_layers()

            spec.loader.exec_module = run_and_register
        return spec


if "keras" in sys.modules:
    _register_layers()
else:
    sys.meta_path.insert(0, _LayersAfterKeras())
