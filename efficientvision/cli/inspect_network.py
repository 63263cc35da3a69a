"""--runmode=dry and ckpt: what the network consists of, and whether a checkpoint fits."""

import keras

from efficientvision import files
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.files import AnyPath
from efficientvision.runs import inspection
from efficientvision.runs.inspect_model import log_summary
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint


def dry(settings: InspectSettings) -> None:
    """Prints parameters and multiply-adds of each part; writes the weights to --logdir."""
    loaded = inspection.load_for_export(settings)
    log_summary(loaded)
    prefix = _write_weights(loaded.model, files.join(settings.logdir, loaded.config.name))
    print(f"weights: {prefix}")


def ckpt(settings: InspectSettings) -> None:
    """Loads the checkpoint and prints a report; with --export_ckpt writes a TF1 checkpoint."""
    settings.need("ckpt_path", "ckpt")
    loaded = inspection.load_for_export(settings)
    log_summary(loaded)
    if settings.export_ckpt:
        _write_weights(loaded.model, settings.export_ckpt)
        print(f"export model to {settings.export_ckpt}")


def _write_weights(model: keras.Model, prefix: AnyPath) -> str:
    """Writes a TF1 checkpoint with the weights as they are loaded, averages applied."""
    variables = published_variables(model)
    return write_tf1_checkpoint(prefix, {name: v.numpy() for name, v in variables.items()})
