"""The segmentation task: how it is configured, trained, evaluated, exported and used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from PIL import Image

from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.checks import data_errors, iterate
from efficientvision.data.record_files import FilePattern
from efficientvision.data.sources.layout import MASKS
from efficientvision.errors import UserError
from efficientvision.evaluation.confidence import confidence_intervals
from efficientvision.preflight.findings import Finding, raise_on_first
from efficientvision.registry import SEGMENTER_IMAGE_SIZE
from efficientvision.tasks import tta_options
from efficientvision.tasks.base import Task
from efficientvision.tasks.build import build_by_name
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.loaded_model import LoadedModel, export_facts
from efficientvision.tasks.portable import PortableNetwork, RunPhotos
from efficientvision.tasks.records import record_options
from efficientvision.tasks.segmentation import results
from efficientvision.tasks.segmentation.build import build_segmentation
from efficientvision.tasks.segmentation.checkpoint import apply_decoder
from efficientvision.tasks.segmentation.checks import check_mask_classes
from efficientvision.tasks.segmentation.class_names import evaluation_names, name_findings
from efficientvision.tasks.segmentation.class_weights import class_weights
from efficientvision.tasks.segmentation.config import SegmentationConfig
from efficientvision.tasks.segmentation.data_checks import data_findings
from efficientvision.tasks.segmentation.data_defaults import SegmenterDefaults
from efficientvision.tasks.segmentation.evaluate_export import evaluate_segmenter_export
from efficientvision.tasks.segmentation.evaluation import scores_text, segmentation_metrics
from efficientvision.tasks.segmentation.export_checks import SegmentationChecks
from efficientvision.tasks.segmentation.labels import LABELS
from efficientvision.tasks.segmentation.metadata import SegmentationMetadata
from efficientvision.tasks.segmentation.metrics import resize_nearest, segmentation_per_image
from efficientvision.tasks.segmentation.network import build_segmenter
from efficientvision.tasks.segmentation.palettes import (
    palette_of,
    published_names,
    with_background,
)
from efficientvision.tasks.segmentation.pipeline import published_scale, segmentation_dataset
from efficientvision.tasks.segmentation.portable import SegmentationRunner, portable_segmenter
from efficientvision.tasks.segmentation.predictor import DEFAULT_OVERLAP, Segmenter
from efficientvision.tasks.segmentation.serving import segmentation_serving
from efficientvision.tasks.segmentation.training_task import (
    SegmentationTrainingTask,
    all_names,
    mask_augmentation,
)
from efficientvision.tasks.segmentation.tta import build_tta
from efficientvision.tasks.serving import Serving
from efficientvision.tasks.setup import (
    apply_published_size,
    count_images,
    factor_beside_backbone,
    record_names,
)
from efficientvision.training.freezing import freeze_batch_norms
from efficientvision.visualize.draw_class_map import draw_class_map
from efficientvision.weights.identify import Identified, identify

log = logging.getLogger(__name__)

_DETECTION_ONLY = ("val_json_file", "testdev_info_file", "test_merge", "test_iou_thresh")
_EVAL_BATCH_SIZE = 2
# Defaults of `build_model`.
_HYPER_PARAMETERS = (
    *("num_classes", "image_size", "decoder_width", "pyramid_width", "auxiliary"),
    *("grad_checkpoint", "dtype"),
)
_DETECTOR_PARTS = ("backbone", "fpn", "class_net", "box_net")

# Option `dataset` -> hyper-parameters. Cityscapes' 20th class is a background without pixels.
DATASETS = {
    "pascal": {"num_classes": 21},
    "city": {"num_classes": 20, "class_weights": "city"},
}


class SegmentationTask(Task):
    """Semantic segmentation: masks, mIoU."""

    noun = "a segmenter"
    pipeline_tag = "image-segmentation"
    default_model = "espnetv2_s_2.0"
    metadata_class = SegmentationMetadata
    predictor_class = Segmenter
    labels = LABELS
    settings = ("raw_maps", "tile_overlap", "segmentation_output")
    # ESPNetv2's and DiCENet's names; all else is the backbone.
    parts = {
        **dict.fromkeys(("bu_dec", "merge_enc_dec", "bu_br", "eff_pool", "proj_enc"), "decoder"),
        "logits": "decoder",
        "auxiliary": "auxiliary output",
    }
    usual_rate = (0.009, 40)
    data_defaults = SegmenterDefaults()
    takes_any_size = True
    of_masks = True
    label_kinds = (MASKS,)
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

    def build(self, config: SegmentationConfig) -> keras.Model:
        return build_segmentation(config)

    def build_named(self, name: str, hyper_parameters: dict[str, Any], **top: Any) -> keras.Model:
        return build_by_name(
            build_segmenter,
            name,
            hyper_parameters,
            task="segmentation",
            known=_HYPER_PARAMETERS,
            image_size=SEGMENTER_IMAGE_SIZE,
            **top,
        )

    def freeze_layers(self, model: keras.Model, config: SegmentationConfig) -> None:
        if config.freeze_bn:
            freeze_batch_norms(model)

    def follow_checkpoint(
        self, config: SegmentationConfig, found: Identified, path: str
    ) -> list[str]:
        lines = [*apply_published_size(config, path), *apply_decoder(config, found)]
        config.override({"auxiliary": False, "heads": ["segmentation"]})
        return lines

    def backbone_name(self, config: SegmentationConfig) -> str:
        if config.is_detector:
            return get_config(config.name).backbone_name
        return config.name

    def is_whole(self, config: SegmentationConfig, found: Identified) -> bool:
        """An EfficientDet that learns masks starts from the detector."""
        if config.is_detector:
            return found.fpn_name is not None and config.name in found.candidates
        return super().is_whole(config, found)

    def published_names(
        self, config: SegmentationConfig, named: dict[int, str] | None, *, in_run: bool
    ) -> dict[int, str]:
        return named or published_names(config.num_classes)

    def head_names(self, found: Identified) -> dict[int, str]:
        return published_names(found.num_classes or 0)

    def matches_classes(self, config: SegmentationConfig) -> bool:
        """False for the segmentation head of an EfficientDet, which is loaded as is."""
        return not config.is_detector

    def check_options(self, options: RunOptions) -> None:
        if options.mode != "eval" and "model_name" not in options.written:
            raise UserError(
                "`task=segmentation` needs a network: set `model_name`, e.g. espnetv2_s_2.0, "
                "efficientnet-b0 or efficientdet-d0."
            )
        if options.dataset not in ("", *DATASETS):
            raise UserError(
                f"`dataset={options.dataset}` does not apply to segmentation: use "
                f"{' or '.join(DATASETS)}."
            )
        for name in _DETECTION_ONLY:
            if name in options.written and getattr(options, name):
                raise UserError(f"`{name}` does not apply to segmentation: remove it.")
        if options.testdev_dir and options.mode != "eval":
            raise UserError("`testdev_dir` only works with `mode=eval`, after training.")
        tta_options.check_options(options)

    def check_config(self, options: RunOptions, config: SegmentationConfig) -> None:
        known = _DETECTOR_PARTS if config.is_detector else ("backbone",)
        if others := [part for part in config.freeze if part not in known]:
            raise UserError(
                f"freeze={'+'.join(config.freeze)}: {config.name} has no {others[0]}; "
                "freeze=backbone freezes everything but the decoder."
            )
        if config.auxiliary and config.is_detector:
            raise UserError("auxiliary=true: EfficientDet has no auxiliary output; remove it.")
        if config.class_map is not None:
            raise UserError(
                "class_map only works with `mode=eval`: training uses the classes of its records."
            )

    def dataset_changes(self, options: RunOptions) -> dict | None:
        return DATASETS.get(options.dataset)

    def fit_to_checkpoint(self, config: SegmentationConfig, ckpt: str) -> list[str]:
        return apply_decoder(config, identify(ckpt), keep_classes=True)

    def fit_to_data(self, options: RunOptions, config: SegmentationConfig | None) -> RunOptions:
        """Fills in the numbers of images and classes from the records."""
        of_photos = results.of_photos(options)
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
                config.override({"num_classes": self.data_defaults.num_classes(names)})
                log.info(
                    f"num_classes={config.num_classes} (from the class names beside the records)."
                )
        if options.dataset == "city" and not config.is_set("random_scale"):
            config.override({"random_scale": published_scale("city", config.image_hw[1])})
        return options

    def trains_batch_norm(self, config: SegmentationConfig) -> bool:
        return super().trains_batch_norm(config) and not config.freeze_bn

    def class_names(self, config: SegmentationConfig, *patterns: str | None) -> dict[int, str]:
        return with_background(record_names(config, *patterns, of_masks=True), config.num_classes)

    def rate_factor(self, config: SegmentationConfig) -> Callable[[str], float] | None:
        """Multiplies the decoder's learning rate by `lr_mult`."""
        return factor_beside_backbone(config.lr_mult)

    def build_task(
        self, options: RunOptions, config: SegmentationConfig, names: Mapping[int, str]
    ) -> SegmentationTrainingTask:
        train, val = options.train_file_pattern, options.val_file_pattern
        tta = build_tta(options, config, self.build)
        if options.testdev_dir:
            return SegmentationTrainingTask(config, class_names=names, tta=tta)
        return SegmentationTrainingTask(
            config,
            **record_options(options),
            class_names=names,
            evaluation_names=evaluation_names(config, names, val) if val else None,
            class_weights=None if options.mode == "eval" else class_weights(config, train),
            tta=tta,
        )

    def check_classes(
        self, options: RunOptions, config: SegmentationConfig, names: Mapping[int, str]
    ) -> None:
        for pattern in options.record_patterns.values():
            check_mask_classes(pattern, config.num_classes, names)
        raise_on_first(name_findings(options, names))

    def findings(
        self, options: RunOptions, config: SegmentationConfig, names: Mapping[int, str]
    ) -> tuple[list[Finding], int]:
        return data_findings(options, config, names)

    def load(self, options: RunOptions) -> LoadedModel:
        loaded = self.load_with(options, {})
        count = loaded.config.num_classes
        wanted = DATASETS.get(options.dataset, {}).get("num_classes", count)
        if wanted != count:
            raise UserError(
                f"`dataset={options.dataset}` has {wanted} classes, but the network in "
                f"{options.model_dir} has {count}: remove `dataset`."
            )
        return loaded

    def write_test_results(self, options: RunOptions, prepare: Callable[[], Any]) -> bool:
        return results.write_for_server(options, prepare)

    def evaluate_export(
        self, options: RunOptions, run: RunPhotos, metadata: SegmentationMetadata
    ) -> dict[str, float]:
        config = get_config(
            metadata.model_name, options.hparams, options.hyper_parameters, task="segmentation"
        )
        config.override({"num_classes": metadata.num_classes})
        pattern = options.val_file_pattern
        names = evaluation_names(config, metadata.class_names, pattern)
        with data_errors(pattern, of_masks=True):
            counts = evaluate_segmenter_export(
                Segmenter(run, metadata), pattern, config.class_map, options.eval_samples
            )
        metrics = segmentation_metrics(counts)
        intervals = confidence_intervals(segmentation_per_image(counts, names))
        log.info(f"{scores_text(counts, names)}\n\n{intervals.report(list(metrics))}")
        return metrics

    def sample_pictures(
        self,
        file_pattern: FilePattern,
        config: SegmentationConfig,
        names: Mapping[int, str],
        *,
        training: bool,
    ) -> Iterator[Image.Image]:
        dataset = segmentation_dataset(
            file_pattern,
            augmentation=mask_augmentation(config),
            image_hw=config.image_hw,
            batch_size=1,
            training=training,
            num_epochs=1,
        )
        names = all_names(names, max(names, default=-1) + 1)
        colors = palette_of(names, len(names))
        for batch in iterate(dataset, file_pattern, of_masks=True):
            mask = resize_nearest(batch["masks"][0].numpy(), config.image_hw)
            yield draw_class_map(batch["images"][0].numpy(), mask, names, colors)

    def metadata(self, loaded: LoadedModel, batch_size: int | None) -> SegmentationMetadata:
        config = loaded.config
        return SegmentationMetadata(
            **export_facts(loaded, batch_size),
            num_classes=config.num_classes,
            palette=[list(c) for c in palette_of(loaded.class_names, config.num_classes)],
            preprocessing={
                "resize": "bilinear, antialiased, to whole grey levels",
                "mean_rgb": np.broadcast_to(config.mean_rgb, 3).tolist(),
                "stddev_rgb": np.broadcast_to(config.stddev_rgb, 3).tolist(),
            },
        )

    def serving(self, model: keras.Model, config: SegmentationConfig, **options: Any) -> Serving:
        return segmentation_serving(model, config, **options)

    def portable(
        self,
        model: keras.Model,
        config: SegmentationConfig,
        metadata: SegmentationMetadata,
        nms: str,
    ) -> tuple[Any, SegmentationMetadata]:
        batch_size = metadata.batch_size or 1
        function = portable_segmenter(model, config, result=metadata.result, batch_size=batch_size)
        return function, metadata

    def runner(self, network: PortableNetwork, metadata: SegmentationMetadata) -> RunPhotos:
        return SegmentationRunner(network, metadata)

    def serving_options(self, settings: InspectSettings) -> dict[str, Any]:
        result = settings.segmentation_output
        return {} if result is None else {"result": result}

    def export_checks(
        self, settings: InspectSettings, loaded: LoadedModel, photos: list[np.ndarray]
    ) -> SegmentationChecks:
        return SegmentationChecks(settings, loaded, photos)

    def predictor(self, loaded: LoadedModel, settings: InspectSettings) -> Segmenter:
        overlap = _overlap(settings) if settings.tile else None
        return Segmenter.from_loaded(loaded, overlap=overlap, at_photo_size=settings.at_photo_size)

    def export_predictor(
        self,
        run: RunPhotos,
        metadata: SegmentationMetadata | None,
        settings: InspectSettings,
        config: SegmentationConfig,
    ) -> Segmenter:
        return Segmenter.from_run(
            run,
            metadata,
            settings.saved_model_dir,
            tile=settings.tile,
            overlap=_overlap(settings),
        )


_TASK = SegmentationTask()


def task_for(model_name: str) -> SegmentationTask:
    """Returns the segmentation task; the model name does not matter."""
    return _TASK


def _overlap(settings: InspectSettings) -> int:
    """Returns the overlap of two tiles in pixels."""
    return DEFAULT_OVERLAP if settings.tile_overlap is None else settings.tile_overlap
