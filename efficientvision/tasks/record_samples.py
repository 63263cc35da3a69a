"""Pictures of records as the input pipeline gives them to a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

from efficientvision.configs import (
    ClassificationConfig,
    DetectorConfig,
    SegmentationConfig,
    SsdConfig,
    TrainingConfig,
)
from efficientvision.data.checks import iterate
from efficientvision.data.class_order import network_names
from efficientvision.data.classification_pipeline import classification_dataset
from efficientvision.data.pipeline import detection_dataset
from efficientvision.data.record_files import FilePattern
from efficientvision.data.segmentation_pipeline import segmentation_dataset
from efficientvision.evaluation.segmentation import resize_nearest
from efficientvision.segmentation.palettes import palette_of
from efficientvision.tasks.classification import cropping_of
from efficientvision.tasks.classification_evaluation import draw_training_images
from efficientvision.tasks.detection import training_augmentation
from efficientvision.tasks.segmentation import all_names, mask_augmentation
from efficientvision.tasks.ssd import ssd_augmentation
from efficientvision.visualize.draw import draw_detections
from efficientvision.visualize.draw_class_map import draw_class_map


def sample_pictures(
    file_pattern: FilePattern,
    config: TrainingConfig,
    names: Mapping[int, str],
    *,
    training: bool,
) -> Iterator[Image.Image]:
    """Draws the records' images with their labels; of detection records those that have boxes.

    Args:
        file_pattern: the records.
        config: of a network of their task: the size of its input, and the augmentation.
        names: class id of the records -> name; of classes without one the numbers are written.
        training: shuffled and augmented, each image once; else in order and as they are.

    Raises:
        UserError: nothing matches, or a record is damaged.
    """
    options: dict[str, Any] = {
        "image_hw": config.image_hw,
        "batch_size": 1,
        "training": training,
        "num_epochs": 1,
    }
    if isinstance(config, DetectorConfig):
        yield from _with_boxes(file_pattern, config, names, options)
    elif isinstance(config, ClassificationConfig):
        yield from _with_classes(file_pattern, config, names, options)
    else:
        yield from _with_masks(file_pattern, config, names, options)


def _with_boxes(
    file_pattern: FilePattern,
    config: DetectorConfig,
    names: Mapping[int, str],
    options: Mapping[str, Any],
) -> Iterator[Image.Image]:
    is_ssd = isinstance(config, SsdConfig)
    dataset = detection_dataset(
        file_pattern,
        max_instances_per_image=config.max_instances_per_image,
        stretch=is_ssd,
        augmentation=ssd_augmentation(config) if is_ssd else training_augmentation(config),
        skip_crowd_during_training=config.skip_crowd_during_training,
        **options,
    )
    for batch in iterate(dataset, file_pattern):
        classes = batch["gt_classes"][0].numpy()
        if (classes < 0).all():
            continue
        image = np.clip(np.round(batch["images"][0].numpy()), 0, 255).astype(np.uint8)
        boxes = batch["gt_boxes_yxyx"][0].numpy()[classes >= 0]
        yield draw_detections(image, boxes, classes[classes >= 0], names=names, max_boxes_to_draw=0)


def _with_classes(
    file_pattern: FilePattern,
    config: ClassificationConfig,
    names: Mapping[int, str],
    options: Mapping[str, Any],
) -> Iterator[Image.Image]:
    dataset = classification_dataset(
        file_pattern,
        class_ids=sorted(names),
        multi_label=True,  # Any number of classes is shown.
        cropping=cropping_of(config),
        **options,
    )
    for batch in iterate(dataset, file_pattern):
        arrays = {name: batch[name].numpy() for name in ("images", "labels")}
        (picture,) = draw_training_images(arrays, network_names(names), 1)
        yield picture.image


def _with_masks(
    file_pattern: FilePattern,
    config: SegmentationConfig,
    names: Mapping[int, str],
    options: Mapping[str, Any],
) -> Iterator[Image.Image]:
    dataset = segmentation_dataset(file_pattern, augmentation=mask_augmentation(config), **options)
    names = all_names(names, max(names, default=-1) + 1)
    colors = palette_of(names, len(names))
    for batch in iterate(dataset, file_pattern, of_masks=True):
        mask = resize_nearest(batch["masks"][0].numpy(), config.image_hw)
        yield draw_class_map(batch["images"][0].numpy(), mask, names, colors)
