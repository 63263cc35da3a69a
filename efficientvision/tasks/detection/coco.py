"""Collects detections batch by batch and computes COCO metrics."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from efficientvision.data.coco_json import CocoFile, read_instances
from efficientvision.errors import UserError
from efficientvision.evaluation.object_matching import Collected
from efficientvision.tasks.detection.coco_backends import BoxScores, choose_backend, evaluate_boxes
from efficientvision.tasks.detection.coco_results import write_results

METRIC_NAMES = "AP AP50 AP75 APs APm APl ARmax1 ARmax10 ARmax100 ARs ARm ARl".split()
DESCRIPTIONS = (
    "AP    IoU .50:.95",
    "AP    IoU .50",
    "AP    IoU .75",
    "AP    small",
    "AP    medium",
    "AP    large",
    "AR    1 detection",
    "AR    10 detections",
    "AR    100 detections",
    "AR    small",
    "AR    medium",
    "AR    large",
)


def read_ground_truth(path: str | os.PathLike[str]) -> CocoFile:
    """Reads ground truth leniently: annotations may be missing, or of unlisted categories.

    Raises:
        UserError: The file cannot be read, or is not in COCO format with boxes.
    """
    return read_instances(os.fspath(path), required=["categories"], listed_categories=False)


class CocoEvaluator:
    """Collects detections and computes the twelve COCO metrics and the AP per class.

    Memory grows by at most 48 bytes per detection.

    Attributes:
        scores: Per-class scores of the last `compute`; None before it.

    Args:
        ground_truth: Path of a COCO annotation file, the result of `read_ground_truth`, or the
            content of such a file (`data.ground_truth.coco_ground_truth` makes it from records).
            None: pass the ground truth to each `update`.
        class_names: Class number -> name, or the names of 1..K; None uses the names in the ground
            truth.
        backend: "auto", "hotcoco", "faster_coco_eval" or "pycocotools".
        records: Source of the images, for error messages.

    Raises:
        UserError: The file cannot be read, or the backend is not installed.
    """

    def __init__(
        self,
        ground_truth: str | os.PathLike[str] | CocoFile | Mapping[str, Any] | None = None,
        class_names: Mapping[int, str] | Sequence[str] | None = None,
        *,
        backend: str = "auto",
        records: str = "the records",
    ):
        self.backend = choose_backend(backend)
        self._records = records
        self._path = "the ground truth"
        if isinstance(ground_truth, (str, os.PathLike)):
            ground_truth = read_ground_truth(ground_truth)
        if isinstance(ground_truth, CocoFile):
            self._path = ground_truth.path
            ground_truth = ground_truth.as_ground_truth()
        self._class_names = _as_mapping(class_names)
        self._given = ground_truth is not None
        self._categories: dict[int, str] = dict(self._class_names)
        self._image_ids: dict[str, Any] = {}
        self._annotations: dict[str, list[dict]] = {}
        if self._given:
            self._index(ground_truth)
        self.reset()

    def reset(self) -> None:
        """Clears the detections and keeps the ground truth given to the constructor."""
        self._seen: dict[str, int] = {}
        self._detections: list[np.ndarray] = []
        self.scores: BoxScores | None = None
        if not self._given:
            self._image_ids.clear()
            self._annotations.clear()

    @property
    def num_images(self) -> int:
        """Number of images evaluated so far."""
        return len(self._seen)

    def update(
        self,
        source_ids: np.ndarray,
        boxes_yxyx: np.ndarray,
        scores: np.ndarray,
        classes: np.ndarray,
        valid_len: np.ndarray,
        groundtruth: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Adds the detections of a batch.

        Images without a name ("": padding of a batch) are skipped. So are repeated images, if the
        ground truth was given to the constructor.

        Args:
            source_ids: [B] strings, bytes or numbers: image ids of the ground truth.
            boxes_yxyx: [B, N, 4], in photo pixels.
            scores: [B, N].
            classes: [B, N], 1..K: category ids of the ground truth.
            valid_len: [B], number of valid rows per image.
            groundtruth: Required without ground truth in the constructor: arrays
                `gt_boxes_original_yxyx` [B, M, 4] (pixels of the photo), `gt_classes_original`
                [B, M] (1..K, -1 padded), `gt_is_crowd` [B, M]. Areas are those of the boxes.

        Returns:
            The number of each image, counted from 1; 0 for skipped images.

        Raises:
            UserError: An image id is not in the ground truth.
        """
        names = [_image_name(source_id) for source_id in np.asarray(source_ids).ravel()]
        if self._given:
            self._check_names(names)
        elif groundtruth is None:
            raise UserError(
                "COCO metrics need ground truth: pass a JSON file, or ground truth to each update."
            )
        boxes, scores, classes = np.asarray(boxes_yxyx), np.asarray(scores), np.asarray(classes)
        numbers = [0] * len(names)
        for i, name in enumerate(names):
            if not name or (self._given and name in self._seen):
                continue
            if not self._given:
                name = self._add_ground_truth(i, groundtruth)
            self._seen[name] = numbers[i] = len(self._seen) + 1
            count = int(np.asarray(valid_len)[i])
            ymin, xmin, ymax, xmax = boxes[i, :count].astype(np.float64).T
            ids = np.full(count, self._seen[name])
            columns = (ids, xmin, ymin, xmax - xmin, ymax - ymin, scores[i, :count])
            # float32 holds image numbers and classes up to 2^24 exactly.
            rows = np.stack([*columns, classes[i, :count]], axis=-1).astype(np.float32)
            self._detections.append(rows)
        return numbers

    def compute(self) -> dict[str, float]:
        """Computes the metrics over the images seen so far.

        Returns:
            `AP`, `AP50`, ... (`METRIC_NAMES`; -1 if there is no such ground truth), then
            `AP_/<name>` and `AP50_/<name>` for each class with ground truth. A name shared by
            several classes is followed by the class number.

        Raises:
            UserError: No image was evaluated.
        """
        if not self._seen:
            raise UserError(f"Nothing to evaluate: no images in {self._records}.")
        annotations = [
            {**annotation, "image_id": number}
            for name, number in self._seen.items()
            for annotation in self._annotations.get(name, ())
        ]
        for number, annotation in enumerate(annotations, start=1):
            annotation["id"] = number
        categories = self._categories or {1: "1"}
        self.scores = scores = evaluate_boxes(
            {
                "images": [
                    {"id": number, "width": 1, "height": 1} for number in self._seen.values()
                ],
                "annotations": annotations,
                "categories": [{"id": i, "name": name} for i, name in sorted(categories.items())],
            },
            self._known_detections(),
            self.backend,
        )
        metrics = dict(zip(METRIC_NAMES, map(float, scores.stats), strict=True))
        names = _distinct(categories)
        for kind, values in (("AP", scores.ap), ("AP50", scores.ap50)):
            for category, value in zip(scores.category_ids, values, strict=True):
                if not math.isnan(value):
                    metrics[f"{kind}_/{names[category]}"] = float(value)
        return metrics

    def collected(self) -> Collected:
        """Returns detections and ground truth of the images seen so far as arrays."""
        annotations = [
            (number, annotation)
            for name, number in self._seen.items()
            for annotation in self._annotations.get(name, ())
            if annotation["category_id"] in self._categories
        ]
        truths = [[n, *a["bbox"], a["iscrowd"], a["category_id"]] for n, a in annotations]
        return Collected(
            _distinct(dict(sorted(self._categories.items()))),
            len(self._seen),
            np.array(truths, np.float64).reshape(-1, 7),
            self._known_detections(),
            np.array([a["difficult"] for _, a in annotations], bool),
        )

    def write_results(self, path: str | os.PathLike[str]) -> None:
        """Writes the detections as a COCO results file; see `coco_results`.

        Detections of classes that are not categories (heads of 90 classes have gaps) are dropped.
        """
        categories = list(self._categories)
        kept = (
            rows[np.isin(rows[:, 6], categories)] if categories else rows
            for rows in self._detections
        )
        numbers = {number: self._image_ids[name] for name, number in self._seen.items()}
        write_results(path, kept, numbers)

    def _index(self, ground_truth: Mapping[str, Any]) -> None:
        for image in ground_truth["images"]:
            self._image_ids[str(image["id"])] = image["id"]
        for category in ground_truth["categories"]:
            name = str(category.get("name", category["id"]))
            self._categories.setdefault(int(category["id"]), name)
        for annotation in ground_truth.get("annotations", ()):
            _, _, width, height = annotation["bbox"]
            self._annotations.setdefault(str(annotation["image_id"]), []).append(
                {
                    "category_id": int(annotation["category_id"]),
                    "bbox": [float(side) for side in annotation["bbox"]],
                    "area": float(annotation.get("area", width * height)),
                    "iscrowd": int(annotation.get("iscrowd", 0)),
                    "difficult": int(annotation.get("difficult", 0)),
                }
            )

    def _add_ground_truth(self, i: int, groundtruth: Mapping[str, Any]) -> str:
        """Stores the i-th image of a batch under a unique name."""
        name = str(len(self._seen) + 1)
        classes = np.asarray(groundtruth["gt_classes_original"])[i].ravel()
        boxes = np.asarray(groundtruth["gt_boxes_original_yxyx"])[i].astype(np.float64)
        crowds = np.asarray(groundtruth["gt_is_crowd"])[i].ravel()
        self._image_ids[name] = int(name)
        self._annotations[name] = []
        for (ymin, xmin, ymax, xmax), label, crowd in zip(boxes, classes, crowds, strict=True):
            if label < 1:
                continue
            self._categories.setdefault(int(label), str(int(label)))
            width, height = float(xmax - xmin), float(ymax - ymin)
            self._annotations[name].append(
                {
                    "category_id": int(label),
                    "bbox": [float(xmin), float(ymin), width, height],
                    "area": width * height,
                    "iscrowd": int(crowd > 0),
                    "difficult": 0,
                }
            )
        return name

    def _check_names(self, names: Sequence[str]) -> None:
        missing = [name for name in names if name and name not in self._image_ids]
        if missing:
            known = ", ".join(list(self._image_ids)[:3])
            raise UserError(
                f"Image ids of {self._records} are not in {self._path}: "
                f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''} (it has {known}, "
                "...); records and ground truth must come from the same conversion."
            )

    def _known_detections(self) -> np.ndarray:
        """Detections of known categories, float64 [N, 7]."""
        rows = np.concatenate([np.zeros((0, 7), np.float32), *self._detections]).astype(np.float64)
        return rows[np.isin(rows[:, 6], list(self._categories))]


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Formats the result of `CocoEvaluator.compute`: the twelve metrics, then the classes."""
    lines = [f"{'COCO metric':<24}   value"]
    for name, description in zip(METRIC_NAMES, DESCRIPTIONS, strict=True):
        lines.append(f"{description:<24}  {_percent(metrics[name])}")
    classes = [name.removeprefix("AP_/") for name in metrics if name.startswith("AP_/")]
    if classes:
        width = max(24, *(len(name) for name in classes))
        lines += ["", f"{'class':<{width}}      AP    AP50"]
        for name in classes:
            ap, ap50 = metrics[f"AP_/{name}"], metrics[f"AP50_/{name}"]
            lines.append(f"{name:<{width}}  {_percent(ap)}  {_percent(ap50)}")
    return "\n".join(lines)


def _percent(value: float) -> str:
    return "     -" if value < 0 else f"{100 * value:6.1f}"


def _as_mapping(class_names: Mapping[int, str] | Sequence[str] | None) -> dict[int, str]:
    if class_names is None:
        return {}
    if isinstance(class_names, Mapping):
        return {int(number): str(name) for number, name in class_names.items()}
    return dict(enumerate(map(str, class_names), start=1))


def _distinct(names: Mapping[int, str]) -> dict[int, str]:
    """Makes class names unique by appending the class number to repeated names."""
    often = Counter(names.values())
    return {k: name if often[name] == 1 else f"{name} ({k})" for k, name in names.items()}


def _image_name(source_id: Any) -> str:
    if isinstance(source_id, bytes):
        return source_id.decode("utf8")
    return str(source_id)
