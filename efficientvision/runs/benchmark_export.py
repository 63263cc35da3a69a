"""Run mode `saved_model_benchmark`: times an exported model end to end."""

import logging

import numpy as np

from efficientvision import files
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.data.photos import list_photos
from efficientvision.errors import UserError
from efficientvision.exports.frozen_graph import read_frozen_graph, write_chrome_trace
from efficientvision.exports.load_export import load_export, result_name
from efficientvision.runs import inspection
from efficientvision.runs.benchmark import report, time_runs
from efficientvision.tasks.photo_batches import as_array

log = logging.getLogger(__name__)

# Size of the photo for a model without metadata.
_USUAL_HW = (512, 512)


def run(settings: InspectSettings) -> np.ndarray:
    """Times photo -> results with `saved_model_dir`, on `input_image` or on noise.

    Returns:
        float64 [runs], seconds per run.
    """
    inspection.need_export(settings)
    trust = settings.trust
    run_batch, metadata = load_export(settings.saved_model_dir, settings.threads, trust=trust)
    baked_batch = metadata.batch_size if metadata else 1
    batch = baked_batch or settings.batch_size or 1
    if settings.input_image:
        photo = as_array(list_photos(settings.input_image)[0])
    else:
        height, width = metadata.image_hw if metadata else _USUAL_HW
        photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    photos = np.repeat(photo[None], batch, axis=0)
    log.info(f"Photo {photo.shape[1]}x{photo.shape[0]} (WxH), batch {batch}")
    seconds = time_runs(lambda: run_batch(photos), settings)
    report(seconds, batch)
    if settings.trace_filename:
        graph = read_frozen_graph(_frozen_graph(settings.saved_model_dir), trust=trust)
        feeds = {"image_arrays:0": photos}
        write_chrome_trace(graph, feeds, [f"{result_name(metadata)}:0"], settings.trace_filename)
        log.info(f"Trace, to open in chrome://tracing: {settings.trace_filename}")
    return seconds


def _frozen_graph(path: str) -> str:
    """The path of a frozen graph: the model itself, or the file in a SavedModel folder.

    Raises:
        UserError: There is none.
    """
    if path.lower().endswith(".pb"):
        return path
    names = files.list_names(path) if files.is_folder(path) else []
    frozen = [name for name in names if name.endswith("_frozen.pb")]
    if not frozen:
        raise UserError(
            f"`trace_filename` traces a TensorFlow graph, but {path} has no *_frozen.pb: remove "
            "the option, or use a SavedModel written by `runmode=saved_model`"
        )
    return files.join(path, frozen[0])
