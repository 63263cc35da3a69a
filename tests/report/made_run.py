"""A run's folder as a training would leave it, made without training."""

import json
import pathlib
from collections.abc import Sequence

import numpy as np

from efficientvision.preflight.findings import OK, WARNING, Finding
from efficientvision.report.evaluation_files import write_evaluation
from efficientvision.report.facts import write_findings
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.coco import CocoEvaluator
from efficientvision.tasks.detection.evaluation import DetectionEvaluation, draw_training_examples
from efficientvision.training.tables import write_table
from efficientvision.visualize.sheet import write_sheet

SIDE = 64
IMAGES = 10
MISTAKES = 16
FINDINGS = [
    Finding(OK, "photos", "10 photos in 1 file"),
    Finding(WARNING, "boxes", "2 boxes <1 pixel", "remove them"),
]


def names(count: int) -> dict[int, str]:
    """Class names; the first would be an element and an entity if it were not escaped."""
    return {1: "<b>cat & dog", **{i: f"class {i}" for i in range(2, count + 1)}}


def made_evaluation(num_classes: int = 3, seed: int = 0) -> DetectionEvaluation:
    """An evaluation of `IMAGES` noisy photos, twice as large as the network's input."""
    rng = np.random.default_rng(seed)
    evaluation = DetectionEvaluation(
        CocoEvaluator(None, names(num_classes), backend="pycocotools"),
        num_images=IMAGES,
        read_photos=made_photos,
    )
    for image in range(IMAGES):
        count = 3
        corner = rng.uniform(0, 80, (1, count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(15, 45, (1, count, 2))], axis=-1)
        classes = rng.integers(1, num_classes + 1, (1, count))
        found = boxes + rng.normal(0, 3, boxes.shape)
        if image % 2:
            found[0, 0] += 60  # Nothing is there.
        evaluation.update(
            {
                "boxes_yxyx": found,
                "scores": rng.random((1, count)),
                "classes": np.where(rng.random((1, count)) < 0.7, classes, 1),
                "valid_len": np.array([count]),
            },
            {
                "images": rng.uniform(0, 255, (1, SIDE, SIDE, 3)).astype(np.float32),
                "valid_hw": np.array([[SIDE, SIDE - 16]]),
                "original_hw": 2 * np.array([[SIDE, SIDE - 16]]),
                "source_id": np.array([str(image).encode()], object),
                "gt_boxes_original_yxyx": boxes,
                "gt_classes_original": classes,
                "gt_is_crowd": np.zeros((1, count), bool),
            },
        )
    return evaluation


def made_photos(positions: Sequence[int]) -> dict[int, tuple[np.ndarray, str]]:
    """Noise at the photos' own size, and names of files."""
    rng = np.random.default_rng(1)
    size = (2 * SIDE, 2 * SIDE - 32, 3)
    return {i: (rng.integers(0, 255, size, np.uint8), f"photo {i}.jpg") for i in positions}


def made_batch(size: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """A training batch with one box an image, and a padded row."""
    rng = np.random.default_rng(seed)
    return {
        "images": rng.integers(0, 255, (size, SIDE, SIDE, 3), np.uint8),
        "gt_boxes_yxyx": np.tile([[[8.0, 8, 40, 56], [-1, -1, -1, -1]]], (size, 1, 1)),
        "gt_classes": np.tile([[1, -1]], (size, 1)),
    }


def write_made_run(folder: pathlib.Path, num_classes: int = 3) -> pathlib.Path:
    """Writes the folder: two epochs, the first the best."""
    evaluation = made_evaluation(num_classes)
    metrics = evaluation.compute()
    metrics["val_loss"] = 1.5
    write_evaluation(folder, 200, metrics, evaluation, complete=True)
    config = get_config("efficientdet-d0", {"num_classes": num_classes, "image_size": SIDE})
    (folder / "config.yaml").write_text(config.to_yaml())
    losses = {"loss": 2.0, "cls_loss": 0.5, "learning_rate": 0.01, "gradient_norm": 3.0}
    rows = [
        {"step": 100, "epoch": 1, "seconds": 61.0, **losses, **metrics, "AP": 0.5},
        {"step": 200, "epoch": 2, "seconds": 3720.0, **losses, "loss": float("nan"), **metrics},
    ]
    write_table(folder, "results.csv", rows)
    write_table(folder, "losses.csv", [{"step": s, "steps": 50, **losses} for s in (50, 100, 150)])
    (folder / "archive").mkdir()
    (folder / "archive" / "best_eval.txt").write_text(json.dumps({"step": 100, "AP": 0.5}))
    (folder / "archive" / "intervals.json").write_text(evaluation.intervals.file_text())
    (folder / "command.txt").write_text("python main.py --hparams='a=<1>'\n")
    facts = {"batch_size": 8, "total_steps": 400, "examples_per_epoch": 800, "num_epochs": 4}
    (folder / "run.json").write_text(json.dumps({**facts, "parameters": 3880067}))
    write_findings(folder, FINDINGS)
    pictures = draw_training_examples(made_batch(), names(num_classes), 12)
    (folder / "train_batch.jpg").write_bytes(write_sheet(pictures, 4))
    return folder
