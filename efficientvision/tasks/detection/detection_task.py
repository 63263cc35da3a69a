"""Base class of the EfficientDet and SSD tasks: boxes, COCO metrics, exports."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import keras
import numpy as np
from PIL import Image

from efficientvision import files
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.run_options import RunOptions
from efficientvision.configs.score_thresholds import parse_min_scores
from efficientvision.data.checks import data_errors, iterate
from efficientvision.data.record_files import FilePattern
from efficientvision.loading import CONFIG_FILE, run_folder_of
from efficientvision.preflight.class_checks import check_classes
from efficientvision.preflight.findings import Finding, raise_on_first
from efficientvision.preflight.record_scan import RecordScan
from efficientvision.tasks import tta_options
from efficientvision.tasks.base import Task
from efficientvision.tasks.detection import testdev
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.detection.coco_source import for_test_server, measuring
from efficientvision.tasks.detection.data_checks import DataChecks
from efficientvision.tasks.detection.evaluate_export import evaluate_export
from efficientvision.tasks.detection.evaluation import DetectionEvaluation
from efficientvision.tasks.detection.export_checks import DetectionChecks
from efficientvision.tasks.detection.labels import LABELS
from efficientvision.tasks.detection.metadata import DetectionMetadata
from efficientvision.tasks.detection.min_scores import apply_min_scores, sets_nms
from efficientvision.tasks.detection.name_checks import truth_name_findings
from efficientvision.tasks.detection.pipeline import detection_dataset
from efficientvision.tasks.detection.portable import portable_function, with_suppression
from efficientvision.tasks.detection.portable_runner import DetectionRunner
from efficientvision.tasks.detection.predictor import Detector
from efficientvision.tasks.detection.ssd_serving import detector_serving
from efficientvision.tasks.detection.training_task import DetectionTrainingTask
from efficientvision.tasks.detection.tta import DetectionTTA, TTAOptions
from efficientvision.tasks.loaded_model import LoadedModel, export_facts, score_facts
from efficientvision.tasks.portable import PortableNetwork, RunPhotos
from efficientvision.tasks.records import record_options
from efficientvision.tasks.serving import Serving
from efficientvision.visualize.draw import draw_detections

log = logging.getLogger(__name__)

DEFAULT_NMS_METHOD = "hard"


class DetectionTask(Task):
    """Common base of all detection tasks."""

    noun = "a detector"
    pipeline_tag = "object-detection"
    default_model = "efficientdet-d0"
    metadata_class = DetectionMetadata
    predictor_class = Detector
    labels = LABELS
    settings = (
        "line_thickness",
        "max_boxes_to_draw",
        "min_score_thresh",
        "nms_method",
        "nms",
        "val_json_file",
    )
    takes_ground_truth_file = True
    family: ClassVar[str]
    training_class: ClassVar[type[DetectionTrainingTask]]

    def check_options(self, options: RunOptions) -> None:
        testdev.check_options(options)
        tta_options.check_options(options)

    @abc.abstractmethod
    def anchor_findings(
        self, scan: RecordScan, config: DetectionConfig, names: Mapping[int, str]
    ) -> list[Finding]:
        """Returns the preflight's findings on anchors and boxes."""

    def build_task(
        self, options: RunOptions, config: DetectionConfig, names: Mapping[int, str]
    ) -> DetectionTrainingTask:
        if options.mode == "eval":
            DataChecks(options, config, names, self).check_classes("val")
        return self.training_class(
            config,
            **record_options(options),
            ground_truth_json=None if options.testdev_dir else options.val_json_file,
            class_names=names,
            testdev_dir=options.testdev_dir,
            testdev_info_file=options.testdev_info_file,
            tta=self.tta(options, config),
        )

    def check_classes(
        self, options: RunOptions, config: DetectionConfig, names: Mapping[int, str]
    ) -> None:
        DataChecks(options, config, names, self).check_classes("train", "val")

    def findings(
        self, options: RunOptions, config: DetectionConfig, names: Mapping[int, str]
    ) -> tuple[list[Finding], int]:
        return DataChecks(options, config, names, self).findings()

    def load(self, options: RunOptions) -> LoadedModel:
        loaded = self.load_with(options, {})
        own = files.is_file(files.join(run_folder_of(options.model_dir), CONFIG_FILE))
        # Records of test-dev have no objects, so the detector's classes are used.
        if not (own or options.testdev_dir):
            loaded.class_names = self.class_names(loaded.config)
        return loaded

    @contextlib.contextmanager
    def checking_results(self, options: RunOptions, config: DetectionConfig) -> Iterator[None]:
        if not options.testdev_dir:
            yield
            return
        testdev.check_before(
            options,
            score_thresh=config.nms_configs.score_thresh or 0.0,
            ids_are_regenerated=config.regenerate_source_id,
        )
        yield
        testdev.check_after(options)

    def evaluate_export(
        self, options: RunOptions, run: RunPhotos, metadata: DetectionMetadata | None
    ) -> dict[str, float]:
        """Evaluates an exported detector, or writes its results for the test server."""
        detector = Detector.from_run(run, metadata, options.model_dir, min_score_thresh=0.0)
        pattern, limit = options.val_file_pattern, options.eval_samples
        names = detector.class_names or None
        results = None
        with data_errors(pattern):
            if options.testdev_dir:
                least = detector.metadata.nms.get("score_thresh") or 0.0
                testdev.check_before(options, score_thresh=least)
                info_file = options.testdev_info_file
                coco = for_test_server(pattern, names, info_file, max_examples=limit)
                results = testdev.results_path(options)
            else:
                check_classes(pattern, detector.metadata.num_classes, detector.class_names)
                truth = pattern, options.val_json_file
                raise_on_first(truth_name_findings(detector.class_names, *truth, renamed=True))
                coco = measuring(pattern, names, options.val_json_file, max_examples=limit)
            evaluation = DetectionEvaluation(coco, results, voc=detector.metadata.family == "ssd")
            evaluate_export(detector, pattern, coco, limit)
            metrics = evaluation.compute()
            log.info(evaluation.full_report(metrics))
        if options.testdev_dir:
            testdev.check_after(options)
        return metrics

    def sample_pictures(
        self,
        file_pattern: FilePattern,
        config: DetectionConfig,
        names: Mapping[int, str],
        *,
        training: bool,
    ) -> Iterator[Image.Image]:
        """Draws images that have boxes."""
        dataset = detection_dataset(
            file_pattern,
            max_instances_per_image=config.max_instances_per_image,
            stretch=self.training_class.stretches,
            augmentation=self.training_class.augmentation(config),
            skip_crowd_during_training=config.skip_crowd_during_training,
            image_hw=config.image_hw,
            batch_size=1,
            training=training,
            num_epochs=1,
        )
        for batch in iterate(dataset, file_pattern):
            classes = batch["gt_classes"][0].numpy()
            if (classes < 0).all():
                continue
            image = np.clip(np.round(batch["images"][0].numpy()), 0, 255).astype(np.uint8)
            boxes = batch["gt_boxes_yxyx"][0].numpy()[classes >= 0]
            shown = classes[classes >= 0]
            yield draw_detections(image, boxes, shown, names=names, max_boxes_to_draw=0)

    def metadata(self, loaded: LoadedModel, batch_size: int | None) -> DetectionMetadata:
        config = loaded.config
        return DetectionMetadata(
            **export_facts(loaded, batch_size),
            num_classes=config.num_object_classes,
            family=self.family,
            fpn_name=None if self.family == "ssd" else config.fpn_name or "bifpn",
            nms=dataclasses.asdict(config.nms_configs),
            **score_facts(loaded),
        )

    def serving(self, model: keras.Model, config: DetectionConfig, **options: Any) -> Serving:
        return detector_serving(model, config, **options)

    def portable(
        self, model: keras.Model, config: DetectionConfig, metadata: DetectionMetadata, nms: str
    ) -> tuple[Any, DetectionMetadata]:
        function = portable_function(model, config, nms=nms, batch_size=metadata.batch_size or 1)
        return function, with_suppression(metadata, config, nms)

    def runner(self, network: PortableNetwork, metadata: DetectionMetadata) -> RunPhotos:
        return DetectionRunner(network, metadata)

    def apply_settings(self, loaded: LoadedModel, settings: InspectSettings) -> None:
        """Applies NMS settings; the defaults are the published program's: hard, 0.4, 100."""
        nms: dict[str, Any] = {}
        if settings.nms_method is not None or not sets_nms(settings.hparams, "method"):
            nms["method"] = settings.nms_method or DEFAULT_NMS_METHOD
        if settings.max_boxes_to_draw is not None:
            nms["max_output_size"] = settings.max_boxes_to_draw
        evaluated = loaded.config.nms_configs.method
        loaded.config.override({"nms_configs": nms})
        found = loaded.thresholds
        apply_min_scores(loaded, settings.min_score_thresh, settings.hparams)
        if loaded.thresholds is found and loaded.config.nms_configs.method != evaluated:
            log.info(
                f"These minimum scores were found with {evaluated} NMS. With "
                f"{loaded.config.nms_configs.method} NMS the scores of overlapping boxes are "
                "higher, so expect more boxes; `min_score_thresh` sets other scores"
            )

    def export_checks(
        self, settings: InspectSettings, loaded: LoadedModel, photos: list[np.ndarray]
    ) -> DetectionChecks:
        return DetectionChecks(settings, loaded, photos)

    def export_predictor(
        self,
        run: RunPhotos,
        metadata: DetectionMetadata | None,
        settings: InspectSettings,
        config: DetectionConfig,
    ) -> Detector:
        return Detector.from_run(
            run,
            metadata,
            settings.saved_model_dir,
            model_name=settings.model_name,
            min_score_thresh=settings.min_score_thresh,
            label_map=config.label_map,
        )

    def baked(self, settings: InspectSettings, metadata: DetectionMetadata) -> dict[str, Any]:
        fixed, asked = metadata.nms, settings.min_score_thresh
        least = None if asked is None else parse_min_scores(asked).least
        return {
            "nms_method": (settings.nms_method, fixed.get("method")),
            "min_score_thresh": (least, fixed.get("score_thresh")),
        }

    def tta(self, options: RunOptions, config: DetectionConfig) -> DetectionTTA | None:
        """Returns the test-time augmentation of the options, or None."""
        if not tta_options.asks_for_tta(options):
            return None
        iou = options.test_iou_thresh
        overlap = {} if iou is None else {"iou_thresh": iou}
        scales = tta_options.scales_of(options)
        how = TTAOptions(options.test_flip, scales, options.test_merge, **overlap)
        tta = DetectionTTA(config, self.training_class.decoder_class(config), how, self.build)
        views = ", ".join(
            f"{view.fit_hw[1]}x{view.fit_hw[0]}{' mirrored' if view.mirrored else ''}"
            for view in tta.views
        )
        merge = {
            "wbf": "weighted box fusion, each after hard NMS",
            "nms": "one NMS of all candidates",
        }[how.merge]
        merged = f"; merged by {merge}" if len(tta.views) > 1 else ""
        log.info(f"Test-time augmentation: each photo is evaluated at {views}{merged}.")
        return tta
