"""--runmode=saved_model_infer: pictures with boxes from an exported model."""

from efficientvision.cli.inspect_infer import check_photos, write_pictures
from efficientvision.cli.inspect_settings import InspectSettings
from efficientvision.configs import DetectionConfig, get_config
from efficientvision.detector import Detector
from efficientvision.loading import DEFAULT_MODEL


def run(settings: InspectSettings) -> None:
    """Runs the SavedModel folder or frozen `.pb` of --saved_model_dir over --input_image."""
    settings.need_export()
    settings.need("input_image", "saved_model_infer")
    settings.need("output_image_dir", "saved_model_infer")
    photos = check_photos(settings)
    write_pictures(settings, load_export(settings), photos)


def load_export(settings: InspectSettings) -> Detector:
    """The detector of --saved_model_dir; says which settings it does not follow."""
    config = get_config(settings.model_name or DEFAULT_MODEL, settings.hparams)
    detector = Detector.from_checkpoint(
        settings.saved_model_dir,
        settings.model_name,
        min_score_thresh=settings.min_score_thresh,
        **({"label_map": config.label_map} if config.label_map else {}),
    )
    _say_what_is_baked(settings, detector, config)
    return detector


def _say_what_is_baked(
    settings: InspectSettings, detector: Detector, config: DetectionConfig
) -> None:
    """Names the settings of an exported model that flags cannot change any more."""
    metadata = detector.metadata
    asked = {
        "model_name": settings.model_name,
        "image_size": config.image_hw if config.is_set("image_size") else None,
        "nms_method": settings.nms_method,
        "min_score_thresh": settings.min_score_thresh,
        "batch_size": settings.batch_size if settings.batch_size != 1 else None,
    }
    baked = {
        "model_name": metadata.model_name,
        "image_size": metadata.image_hw,
        "nms_method": metadata.nms.get("method"),
        "min_score_thresh": metadata.nms.get("score_thresh"),
        "batch_size": metadata.batch_size or settings.batch_size,
    }
    for name, value in asked.items():
        known = metadata.nms and value is not None
        if not known or value == baked[name]:
            continue
        if name == "min_score_thresh" and value > (baked[name] or 0):
            continue
        print(f"{settings.saved_model_dir} was exported with {name}={baked[name]}: that is used")
