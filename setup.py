"""Packaging of efficientvision: what it needs to run, and its optional parts."""

import pathlib

from setuptools import find_packages, setup

_CORE = [
    "tensorflow>=2.20",
    "keras>=3.13.2",  # Earlier ones read hostile files badly.
    "numpy",
    "Pillow",
    "pycocotools",
    "absl-py",
    "PyYAML",
    "lxml",
    "tqdm",
    "google-crc32c",  # The checksums of TFRecord files.
]

_FAST_EVAL = ["hotcoco", "faster-coco-eval"]
_PLOTS = ["matplotlib"]
_VIDEO = ["av>=18"]
_ONNX = ["onnx", "onnxruntime", "tf2onnx"]
_OPENVINO = ["openvino", *_ONNX]  # Its files are written by way of ONNX.
_LITERT = ["ai-edge-litert"]
_COREML = ["coremltools>=9"]

_EXTRAS = {
    "gpu": ["tensorflow[and-cuda]>=2.20"],
    "video": _VIDEO,
    "onnx": _ONNX,
    "openvino": _OPENVINO,
    "litert": _LITERT,
    "coreml": _COREML,
    "fast-eval": _FAST_EVAL,
    "plots": _PLOTS,
    "track": ["trackers>=2.5", *_VIDEO],  # Its ByteTrack: supervision no longer has one.
    "wandb": ["wandb>=0.17"],
    "mlflow": ["mlflow>=2.14"],
    "dev": [
        "pytest",
        "pytest-xdist",
        "pytest-randomly",
        "filelock",  # tests/store.py
        "ruff",
        "mypy",
        "types-PyYAML",
        "scikit-learn",  # demo/make_digits.py
        "nbclient",  # docs/tutorial.ipynb, by its test
        "ipykernel",
        *_FAST_EVAL,
        *_PLOTS,
        *_VIDEO,
        *_OPENVINO,
        *_LITERT,
    ],
}

_README = pathlib.Path(__file__).parent / "README.md"

setup(
    name="efficientvision",
    version="0.1.0",
    description="EfficientDet and relatives in Keras 3: train, evaluate, export, infer.",
    long_description=_README.read_text(encoding="utf-8") if _README.exists() else "",
    long_description_content_type="text/markdown",
    author="The efficientvision authors",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["efficientvision", "efficientvision.*"]),
    package_data={
        "efficientvision": ["py.typed"],
        "efficientvision.report": ["style.css"],
        "efficientvision.video": ["live.html"],
    },
    install_requires=_CORE,
    extras_require=_EXTRAS,
)
