"""--runmode=saved_model: photos in, detections out, as a SavedModel and a frozen graph."""

from efficientvision.cli.inspect_settings import InspectSettings
from efficientvision.export.saved_model import check_replaceable, export_saved_model
from efficientvision.export.serving import build_serving
from efficientvision.loading import serving_metadata


def run(settings: InspectSettings) -> None:
    """Writes a SavedModel to --saved_model_dir."""
    check_replaceable(settings.saved_model_dir)
    loaded = settings.load()
    serving = build_serving(loaded.model, loaded.config)
    metadata = serving_metadata(loaded, batch_size=settings.batch_size)
    directory = export_saved_model(serving, settings.saved_model_dir, metadata)
    print(f"SavedModel: {directory} (with {metadata.model_name}_frozen.pb and metadata.json)")
