"""`main.py` for semantic segmentation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from efficientvision.configs import SegmentationConfig
from efficientvision.data.class_pixels import balanced_weights, count_class_pixels
from efficientvision.data.labels import find_labels
from efficientvision.data.preflight.file_checks import file_findings
from efficientvision.data.preflight.findings import ERROR, Finding, raise_on_first
from efficientvision.data.preflight.ground_truth_checks import overlap_findings
from efficientvision.data.preflight.mask_checks import (
    MaskScan,
    check_mask_classes,
    mask_findings,
    mask_split_findings,
    scan_masks,
    window_findings,
)
from efficientvision.data.segmentation_pipeline import published_scale
from efficientvision.errors import UserError
from efficientvision.loading import LoadedModel, load_segmenter
from efficientvision.runs import evaluation_views, segmentation_results
from efficientvision.runs.options import RunOptions
from efficientvision.runs.task_setup import (
    TaskSetup,
    count_images,
    factor_beside_backbone,
    record_names,
)
from efficientvision.segmentation.class_weights import CITYSCAPES_WEIGHTS
from efficientvision.segmentation.palettes import same_classes, with_background
from efficientvision.tasks.segmentation import SegmentationTask, all_names
from efficientvision.weights.decoder import apply_decoder
from efficientvision.weights.identify import identify

log = logging.getLogger(__name__)

_DETECTION_ONLY = ("val_json_file", "testdev_info_file", "test_merge", "test_iou_thresh")
_EVAL_BATCH_SIZE = 2
_DETECTOR_PARTS = ("backbone", "fpn", "class_net", "box_net")

# `--dataset` -> hyper-parameters. Cityscapes' 20th class is the background that no pixel has.
DATASETS = {
    "pascal": {"num_classes": 21},
    "city": {"num_classes": 20, "class_weights": "city"},
}


class SegmentationSetup(TaskSetup):
    """Every pixel's class: masks, mIoU."""

    of_masks = True
    architecture = (
        "num_classes",
        "act_type",
        "build_size",
        "decoder_width",
        "pyramid_width",
        "auxiliary",
        "heads",
        "fpn_name",
        "detector_classes",
    )

    def check_options(self, options: RunOptions) -> None:
        if options.mode != "eval" and "model_name" not in options.written:
            raise UserError(
                "`task=segmentation` needs the name of a network: `model_name=espnetv2_s_2.0`, "
                "efficientnet-b0 or efficientdet-d0 for example."
            )
        if options.dataset not in ("", *DATASETS):
            raise UserError(
                f"`dataset={options.dataset}` is of another task; segmentation has "
                f"{' and '.join(DATASETS)}."
            )
        for name in _DETECTION_ONLY:
            if name in options.written and getattr(options, name):
                raise UserError(f"`{name}` is for detection; segmentation has no use for it.")
        if options.testdev_dir and options.mode != "eval":
            raise UserError("`testdev_dir` is for `mode=eval`: predictions are written when done.")
        evaluation_views.check_options(options)

    def check_config(self, options: RunOptions, config: SegmentationConfig) -> None:
        known = _DETECTOR_PARTS if config.is_detector else ("backbone",)
        if others := [part for part in config.freeze if part not in known]:
            raise UserError(
                f"freeze={'+'.join(config.freeze)}: {config.name} has no {others[0]}; "
                "freeze=backbone keeps all but its decoder."
            )
        if config.auxiliary and config.is_detector:
            raise UserError("auxiliary=true: an EfficientDet has no second output; leave it out.")
        if config.class_map is not None:
            raise UserError(
                "class_map is for `mode=eval`: a training takes the classes of its records."
            )

    def dataset_changes(self, options: RunOptions) -> dict | None:
        return DATASETS.get(options.dataset)

    def fit_to_checkpoint(self, config: SegmentationConfig, ckpt: str) -> list[str]:
        return apply_decoder(config, identify(ckpt), keep_classes=True)

    def fit_to_data(self, options: RunOptions, config: SegmentationConfig | None) -> RunOptions:
        """Takes numbers of images and classes from the records."""
        of_photos = segmentation_results.of_photos(options)
        options = count_images(options, None if of_photos else options.val_file_pattern)
        if "eval_batch_size" not in options.written:
            options = options.replace(eval_batch_size=_EVAL_BATCH_SIZE)
        if config is None:
            return options
        if not config.is_set("num_classes"):
            names = record_names(
                config, options.train_file_pattern, options.val_file_pattern, of_masks=True
            )
            if names:
                config.override({"num_classes": max(names) + 1})
                log.info(f"num_classes={max(names) + 1}, from the names beside the records.")
        if options.dataset == "city" and not config.is_set("random_scale"):
            config.override({"random_scale": published_scale("city", config.image_hw[1])})
        return options

    def class_names(self, config: SegmentationConfig, *patterns: str | None) -> dict[int, str]:
        return with_background(record_names(config, *patterns, of_masks=True), config.num_classes)

    def rate_factor(self, config: SegmentationConfig) -> Callable[[str], float] | None:
        """The decoder's learning rate is `lr_mult` times the backbone's."""
        return factor_beside_backbone(config.lr_mult)

    def build_task(
        self, options: RunOptions, config: SegmentationConfig, names: Mapping[int, str]
    ) -> SegmentationTask:
        train, val = options.train_file_pattern, options.val_file_pattern
        views = evaluation_views.build_segmentation_views(options, config)
        if options.testdev_dir:
            return SegmentationTask(config, class_names=names, views=views)
        return SegmentationTask(
            config,
            training_files=train,
            evaluation_files=val,
            class_names=names,
            evaluation_names=evaluation_names(config, names, val) if val else None,
            class_weights=None if options.mode == "eval" else class_weights(config, train),
            evaluation_images=options.eval_samples,
            fake_data=options.use_fake_data,
            data_service=options.tf_data_service or None,
            views=views,
        )

    def check_classes(
        self, options: RunOptions, config: SegmentationConfig, names: Mapping[int, str]
    ) -> None:
        for pattern in filter(None, (options.train_file_pattern, options.val_file_pattern)):
            check_mask_classes(pattern, config.num_classes, names)
        raise_on_first(_name_findings(options, names))

    def findings(
        self, options: RunOptions, config: SegmentationConfig, names: Mapping[int, str]
    ) -> tuple[list[Finding], int]:
        scans: dict[str, MaskScan] = {}
        findings: list[Finding] = []
        for part, pattern in (
            ("train", options.train_file_pattern),
            ("val", options.val_file_pattern),
        ):
            if not pattern:
                continue
            scan = scan_masks(
                pattern,
                regenerate_source_id=config.regenerate_source_id,
                description=f"looking at the {part} masks",
            )
            findings += file_findings(scan.records, part)
            if not scan.records.num_read:
                continue
            scans[part] = scan
            findings += mask_findings(scan, part, config.num_classes, names)
            if part == "train":
                findings += window_findings(scan, config.image_hw, config.scale_range)
        findings += _name_findings(options, names)
        if len(scans) == 2:
            findings += mask_split_findings(scans["train"], scans["val"], names)
            findings += overlap_findings(scans["train"].records, scans["val"].records)
        return findings, scans["train"].records.num_records if "train" in scans else 0

    def load(self, options: RunOptions) -> LoadedModel:
        named = options.model_name if "model_name" in options.written else None
        loaded = load_segmenter(
            options.model_dir, named, options.hparams, **options.hyper_parameters
        )
        count = loaded.config.num_classes
        wanted = DATASETS.get(options.dataset, {}).get("num_classes", count)
        if wanted != count:
            raise UserError(
                f"`dataset={options.dataset}` has {wanted} classes, and the network in "
                f"{options.model_dir} {count}: leave `dataset` out."
            )
        return loaded


def _name_findings(options: RunOptions, names: Mapping[int, str]) -> list[Finding]:
    """An error where the evaluation records of a training have other classes than the network."""
    own = options.val_file_pattern and find_labels(options.val_file_pattern, of_masks=True)
    if not own or not names or same_classes(own, names):
        return []
    found = f"the evaluation records have the classes {_some(own)}, and training {_some(names)}"
    advice = (
        "number the classes of both sets alike, and convert them again (class_map is for "
        "`mode=eval`)"
    )
    return [Finding(ERROR, "val class names", found, advice)]


def class_weights(config: SegmentationConfig, pattern: str) -> tuple[float, ...] | None:
    """The weights of the classes in the loss; says those that are taken from the data.

    Args:
        config: Its `class_weights` says which.
        pattern: Of the training records.

    Raises:
        UserError: Those of Cityscapes are asked for, and there are not as many classes.
    """
    wanted, count = config.class_weights, config.num_classes
    if wanted == "city":
        if count not in (len(CITYSCAPES_WEIGHTS) - 1, len(CITYSCAPES_WEIGHTS)):
            raise UserError(
                f"class_weights=city are of Cityscapes' 19 classes (or 20, with a background), and "
                f"num_classes={count}: class_weights=data takes them from the records."
            )
        return CITYSCAPES_WEIGHTS[:count]
    if wanted == "data":
        weights = balanced_weights(count_class_pixels(pattern), count)
        log.info(f"Weights of the classes: {', '.join(f'{weight:.2f}' for weight in weights)}.")
        return weights
    return wanted


def evaluation_names(
    config: SegmentationConfig, names: Mapping[int, str], pattern: str
) -> dict[int, str]:
    """The classes of the records that are measured.

    Those of the `labels.json` beside them; else those that `class_map` names, or the network's.

    Args:
        config: Of the network.
        names: Class (from 0) of the network -> name; may be empty.
        pattern: Of the records.

    Raises:
        UserError: The classes are others than the network's, and no `class_map` says which is
            which; or it names classes that one side does not have.
    """
    own = find_labels(pattern, of_masks=True)
    pairs = config.class_map
    if pairs is None:
        if own and names and not same_classes(own, names):
            raise UserError(
                f"The records {pattern} have the classes {_some(own)}, and the network has "
                f"{_some(names)}: say which is which with class_map={{class of the network: class "
                "of the records}, as in hparams/camvid_from_cityscapes.yaml."
            )
        return all_names(own or names, max(own) + 1 if own else config.num_classes)
    if (most := max(pairs)) >= config.num_classes:
        raise UserError(
            f"class_map names class {most} of the network, which has 0 to {config.num_classes - 1}."
        )
    count = max(own) + 1 if own else max(pairs.values()) + 1
    if (most := max(pairs.values())) >= count:
        raise UserError(f"class_map names class {most} of records with the classes {_some(own)}.")
    return all_names(own or {}, count)


def _some(names: Mapping[int, str]) -> str:
    shown = [f"{number} {names[number]}" for number in sorted(names)]
    return ", ".join(shown[:3]) + (f" ... {shown[-1]}" if len(shown) > 3 else "")
