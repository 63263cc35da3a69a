"""--runmode=saved_model and freeze: exports a model, with or without what surrounds the network."""

import dataclasses

from efficientvision import files
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.exports.artifacts import FORMATS
from efficientvision.exports.saved_model import (
    check_replaceable,
    export_network,
    export_saved_model,
)
from efficientvision.exports.write_portable import write_portable
from efficientvision.loading import serving_metadata
from efficientvision.output_folder import check_output_folder
from efficientvision.runs import inspection
from efficientvision.tasks.choice import build_serving, task_of_config


def saved_model(settings: InspectSettings) -> None:
    """Writes a SavedModel to --saved_model_dir."""
    check_output_folder("saved_model_dir", settings.saved_model_dir, replaced=True)
    check_replaceable(settings.saved_model_dir)
    loaded = inspection.load_for_export(settings)
    options = task_of_config(loaded.config).serving_options(settings)
    serving = build_serving(loaded.model, loaded.config, **options)
    metadata = dataclasses.replace(
        serving_metadata(loaded, batch_size=settings.batch_size), **options
    )
    directory = export_saved_model(serving, settings.saved_model_dir, metadata)
    if settings.tflite_path:
        form = FORMATS["litert"]
        portable = dataclasses.replace(metadata, batch_size=1)
        write_portable(loaded.model, loaded.config, portable, form, settings.tflite_path)
        print(f"LiteRT: {settings.tflite_path} (--runmode=export checks it, and has more formats)")
    print(f"SavedModel: {directory} (with {metadata.model_name}_frozen.pb and metadata.json)")


def freeze(settings: InspectSettings) -> None:
    """Writes the network alone: `<logdir>/<model>_frozen.pb` and `<logdir>/savedmodel`."""
    loaded = inspection.load_for_export(settings)
    if settings.delete_logdir:
        for name in files.list_names(settings.logdir):
            if name.endswith("_frozen.pb"):
                files.remove(files.join(settings.logdir, name))
    frozen, saved = export_network(
        build_serving(loaded.model, loaded.config),
        settings.logdir,
        loaded.config.name,
        batch_size=settings.batch_size,
    )
    print(f"SavedModel of the network: {saved}")
    print(f"Frozen graph: {frozen}")
