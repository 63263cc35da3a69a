"""--runmode=saved_model_infer: like infer, with an exported model."""

from efficientvision.classifier import Classifier
from efficientvision.cli.inspect_infer import check_photos, write_pictures
from efficientvision.cli.photo_look import Model, look_of
from efficientvision.configs import TrainingConfig, get_config
from efficientvision.detector import Detector
from efficientvision.exports.load_export import load_export
from efficientvision.exports.metadata import (
    ClassifierMetadata,
    DetectorMetadata,
    ModelMetadata,
    SegmenterMetadata,
)
from efficientvision.loading import DEFAULT_MODEL
from efficientvision.runs.inspect_settings import InspectSettings
from efficientvision.segmenter import Segmenter


def run(settings: InspectSettings) -> None:
    """Runs the exported model of --saved_model_dir on --input_image."""
    settings.need_export()
    settings.need("input_image", "saved_model_infer")
    settings.need("output_image_dir", "saved_model_infer")
    photos = check_photos(settings)
    look = look_of(open_export(settings), settings)
    write_pictures(settings.output_image_dir, look, photos)


def open_export(settings: InspectSettings) -> Model:
    """The model of --saved_model_dir; prints which settings cannot change it."""
    origin = settings.saved_model_dir
    run_batch, metadata = load_export(origin, settings.threads, trust=settings.trust)
    facts = metadata or DetectorMetadata
    known = metadata.model_name if facts.task != "detection" else DEFAULT_MODEL
    config = get_config(settings.model_name or known, settings.hparams, task=facts.task)
    settings.say_other_tasks(facts.task)
    if isinstance(metadata, SegmenterMetadata):
        model: Model = Segmenter.from_run(
            run_batch, metadata, origin, tile_hw=settings.tile_hw, overlap=settings.overlap
        )
    elif isinstance(metadata, ClassifierMetadata):
        model = Classifier.from_run(
            run_batch,
            metadata,
            origin,
            min_probability=settings.min_score_thresh,
            label_map=config.label_map,
        )
    else:
        model = Detector.from_run(
            run_batch,
            metadata,
            origin,
            model_name=settings.model_name,
            min_score_thresh=settings.min_score_thresh,
            label_map=config.label_map,
        )
    if metadata is not None:
        _say_what_is_baked(settings, metadata, config)
    return model


def _say_what_is_baked(
    settings: InspectSettings, metadata: ModelMetadata, config: TrainingConfig
) -> None:
    """Prints which settings have no effect because the model was exported with other values."""
    asked = {
        "model_name": settings.model_name,
        "image_size": config.image_hw if config.is_set("image_size") else None,
        "batch_size": settings.batch_size if settings.batch_size != 1 else None,
    }
    baked = {
        "model_name": metadata.model_name,
        "image_size": metadata.image_hw,
        "batch_size": metadata.batch_size or settings.batch_size,
    }
    if isinstance(metadata, DetectorMetadata):
        asked |= {"nms_method": settings.nms_method, "min_score_thresh": settings.min_score_thresh}
        baked["nms_method"] = metadata.nms.get("method")
        baked["min_score_thresh"] = metadata.nms.get("score_thresh")
    for name, value in asked.items():
        if value is None or value == baked[name]:
            continue
        if name == "min_score_thresh" and value > (baked[name] or 0):
            continue
        print(
            f"{settings.saved_model_dir} was exported with {name}={baked[name]}: "
            f"{name}={value} has no effect"
        )
