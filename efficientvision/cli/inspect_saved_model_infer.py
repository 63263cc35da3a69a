"""--runmode=saved_model_infer: like infer, with an exported model."""

from efficientvision.cli.inspect_infer import check_photos, write_pictures
from efficientvision.configs import TrainingConfig
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.exports.load_export import load_export
from efficientvision.registry import DEFAULT_TASK
from efficientvision.runs import inspection
from efficientvision.tasks.base import Task
from efficientvision.tasks.choice import get_config, task_of_export
from efficientvision.tasks.metadata import ModelMetadata
from efficientvision.tasks.predictor import Predictor


def run(settings: InspectSettings) -> None:
    """Runs the exported model of --saved_model_dir on --input_image."""
    inspection.need_export(settings)
    settings.need("input_image", "saved_model_infer")
    settings.need("output_image_dir", "saved_model_infer")
    photos = check_photos(settings)
    write_pictures(settings, open_export(settings), photos)


def open_export(settings: InspectSettings) -> Predictor:
    """The model of --saved_model_dir; prints which settings cannot change it."""
    run_batch, metadata = load_export(
        settings.saved_model_dir, settings.threads, trust=settings.trust
    )
    task = task_of_export(metadata)
    task_name = task.metadata_class.task
    # An export of another maker, or of a detector, may bear any name.
    known = metadata.model_name if task_name != DEFAULT_TASK else task.default_model
    config = get_config(settings.model_name or known, settings.hparams, task=task_name)
    inspection.report_unused(settings, task)
    predictor = task.export_predictor(run_batch, metadata, settings, config)
    if metadata is not None:
        _say_what_is_baked(settings, metadata, config, task)
    return predictor


def _say_what_is_baked(
    settings: InspectSettings, metadata: ModelMetadata, config: TrainingConfig, task: Task
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
    for name, (wanted, fixed) in task.baked(settings, metadata).items():
        asked[name], baked[name] = wanted, fixed
    for name, value in asked.items():
        if value is None or value == baked[name]:
            continue
        if name == "min_score_thresh" and value > (baked[name] or 0):
            continue
        print(
            f"{settings.saved_model_dir} was exported with {name}={baked[name]}: "
            f"{name}={value} has no effect"
        )
