"""A small detector whose weights are a function of their names, shared by several tests.

It finds many objects in any picture, all of them nonsense: enough to compare two ways of running.
"""

import json
import pathlib

import numpy as np
from PIL import Image

from efficientvision.exports.saved_model import export_saved_model
from efficientvision.loading import load_model, serving_metadata
from efficientvision.tasks.choice import build_serving
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.depth import cached_by_depth
from tests.goldens.fill import fill
from tests.store import stored

NAMES = {1: "ant", 2: "bee", 3: "cat"}
IMAGE_HW = (128, 128)


def values_of(model) -> dict[str, np.ndarray]:
    """The model's weights, made of their names."""
    values = {n: fill(n, v.shape) for n, v in published_variables(model).items()}
    # Logits of a useful size: without this every score is 0 or 1.
    for part in ("class", "box"):
        values[f"{part}_net/{part}-predict/pointwise_kernel"] *= {"class": 0.1, "box": 0.02}[part]
    return values


@cached_by_depth
def filled_detector(fpn_name: str = "bifpn", shallow: bool = True) -> LoadedModel:
    """efficientdet-d0 for three classes at 128 pixels, hard NMS, scores from 0.6 on.

    Args:
        fpn_name: feature fusion.
        shallow: one fusion cell and one convolution in each head, which is traced faster.
    """
    loaded = load_model(
        None,
        "efficientdet-d0",
        {"nms_configs": {"method": "hard", "score_thresh": 0.6}},
        task="detection",
        num_classes=3,
        image_size="128x128",
        label_map=NAMES,
        fpn_name=fpn_name,
        **({"fpn_cell_repeats": 1, "box_class_repeats": 1} if shallow else {}),
    )
    for name, value in values_of(loaded.model).items():
        published_variables(loaded.model)[name].assign(value)
    return loaded


def exported_folder() -> pathlib.Path:
    """The shallow detector as a SavedModel for a batch of one, made once for all tests."""

    def export(folder):
        loaded = filled_detector()
        serving = build_serving(loaded.model, loaded.config)
        export_saved_model(serving, folder, serving_metadata(loaded, batch_size=1))

    return stored("detector", export)


def write_filled_checkpoint(
    folder: pathlib.Path, fpn_name: str = "bifpn", shallow: bool = False
) -> pathlib.Path:
    """Writes the weights above as a published checkpoint's folder, with class names beside it."""
    write_tf1_checkpoint(folder / "model", values_of(filled_detector(fpn_name, shallow).model))
    (folder / "labels.json").write_text(json.dumps(NAMES))
    return folder


def textured_photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture with something in it, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noise = rng.integers(-20, 21, (height, width, 3))
    return np.clip(np.asarray(smooth).astype(int) + noise, 0, 255).astype(np.uint8)
