"""Three implementations of the COCO box metrics behind one function.

hotcoco (compiled, about 50 times faster than pycocotools), faster-coco-eval, pycocotools: the first
that is installed is used. They give the same numbers.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
from typing import NamedTuple

import numpy as np

from efficientvision.errors import UserError

_MODULES = {
    "hotcoco": "hotcoco",
    "faster_coco_eval": "faster_coco_eval",
    "pycocotools": "pycocotools.coco",
}
BACKENDS = tuple(_MODULES)


class BoxScores(NamedTuple):
    """COCO's summary and the averages behind it.

    Attributes:
        stats: float64 [12], in COCO's order; -1 where there is no ground truth of that kind.
        category_ids: The categories, ascending.
        ap: float64 [categories]: AP at IoU .50:.95 of each category; NaN without ground truth.
        ap50: The same at IoU .50.
        ap75: The same at IoU .75.
        ar: float64 [categories]: recall at 100 detections an image, mean over IoU .50:.95.
    """

    stats: np.ndarray
    category_ids: list[int]
    ap: np.ndarray
    ap50: np.ndarray
    ap75: np.ndarray
    ar: np.ndarray


def available_backends() -> list[str]:
    """Names of the installed implementations, in order of preference."""
    return [name for name in BACKENDS if importlib.util.find_spec(_MODULES[name].split(".")[0])]


def choose_backend(backend: str = "auto") -> str:
    """The implementation to use.

    Raises:
        UserError: Unknown name, or not installed.
    """
    installed = available_backends()
    if backend == "auto":
        if not installed:
            raise UserError("COCO metrics need pycocotools; run `pip install pycocotools`.")
        return installed[0]
    if backend not in BACKENDS:
        raise UserError(f"Unknown COCO backend {backend!r}; use one of {', '.join(BACKENDS)}.")
    if backend not in installed:
        package = backend.replace("_", "-")
        raise UserError(f"The COCO backend {backend} is not installed; pip install {package}.")
    return backend


def evaluate_boxes(ground_truth: dict, detections: np.ndarray, backend: str = "auto") -> BoxScores:
    """Scores detections against ground truth.

    Args:
        ground_truth: COCO dictionary of images, annotations and categories; every annotation has
            id, image_id, category_id, bbox (x, y, width, height), area and iscrowd.
        detections: float64 [N, 7]: image_id, x, y, width, height, score, category_id.
        backend: "auto" or one of `BACKENDS`.
    """
    backend = choose_backend(backend)
    category_ids = sorted(category["id"] for category in ground_truth["categories"])
    if not len(detections):
        # pycocotools cannot load an empty list; a box without area matches nothing.
        first_image = ground_truth["images"][0]["id"]
        detections = np.array([[first_image, 0, 0, 0, 0, 0, category_ids[0]]], np.float64)
    # The libraries print their progress and their summary.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = _evaluation(backend, ground_truth, np.asarray(detections, np.float64))
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = np.asarray(evaluation.eval["precision"])[..., 0, -1]  # [iou, recall, category]
    precision = np.where(precision > -1, precision, np.nan)
    present = ~np.isnan(precision).all(axis=(0, 1))
    recall = np.asarray(evaluation.eval["recall"])[:, present, 0, -1]  # [iou, category]

    def average(values: np.ndarray) -> np.ndarray:
        """Means over all axes but the last, NaN for categories without ground truth."""
        means = np.full(len(category_ids), np.nan)
        if present.any():
            means[present] = values.reshape(-1, values.shape[-1]).mean(axis=0)
        return means

    precision = precision[:, :, present]
    return BoxScores(
        np.asarray(evaluation.stats[:12], np.float64),
        category_ids,
        ap=average(precision),
        ap50=average(precision[0]),
        ap75=average(precision[5]),
        ar=average(recall),
    )


def _evaluation(backend: str, ground_truth: dict, detections: np.ndarray):
    if backend == "hotcoco":
        library = importlib.import_module("hotcoco")
        coco = library.COCO(ground_truth)
        return library.COCOeval(coco, coco.loadRes(detections), "bbox")
    if backend == "faster_coco_eval":
        library = importlib.import_module("faster_coco_eval")
        coco = library.COCO(ground_truth)
        return library.COCOeval_faster(coco, coco.loadRes(detections), "bbox")
    coco = importlib.import_module("pycocotools.coco").COCO()
    coco.dataset = ground_truth
    coco.createIndex()
    library = importlib.import_module("pycocotools.cocoeval")
    return library.COCOeval(coco, coco.loadRes(detections), "bbox")
