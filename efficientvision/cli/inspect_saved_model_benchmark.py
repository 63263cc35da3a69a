"""--runmode=saved_model_benchmark: how fast an exported model is, end to end."""

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

# Of a photo for a model that does not say its input size.
_USUAL_HW = (512, 512)


def run(settings: InspectSettings) -> None:
    """Times photo -> results with --saved_model_dir, on --input_image or on noise."""
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
    print(f"photo {photo.shape[1]}x{photo.shape[0]} (WxH), batch {batch}")
    report(time_runs(lambda: run_batch(photos), settings), batch)
    if settings.trace_filename:
        graph = read_frozen_graph(_frozen_graph(settings.saved_model_dir), trust=trust)
        feeds = {"image_arrays:0": photos}
        write_chrome_trace(graph, feeds, [f"{result_name(metadata)}:0"], settings.trace_filename)
        print(f"trace, for chrome://tracing: {settings.trace_filename}")


def _frozen_graph(path: str) -> str:
    """The frozen graph itself, or the one in a SavedModel folder.

    Raises:
        UserError: there is none.
    """
    if path.lower().endswith(".pb"):
        return path
    names = files.list_names(path) if files.is_folder(path) else []
    frozen = [name for name in names if name.endswith("_frozen.pb")]
    if not frozen:
        raise UserError(
            f"--trace_filename traces TensorFlow's operations, and {path} has none of its frozen "
            "graphs: leave the flag out, or name a SavedModel of --runmode=saved_model"
        )
    return files.join(path, frozen[0])
