"""--runmode=saved_model_benchmark: how fast an exported model is, end to end."""

import numpy as np

from efficientvision import files
from efficientvision.cli.inspect_bm import report, time_runs
from efficientvision.cli.inspect_settings import InspectSettings
from efficientvision.data.photos import list_photos
from efficientvision.detector import Detector
from efficientvision.errors import UserError
from efficientvision.export.frozen_graph import read_frozen_graph, write_chrome_trace
from efficientvision.photo_batches import as_array


def run(settings: InspectSettings) -> None:
    """Times photo -> detections with --saved_model_dir, on --input_image or on noise."""
    settings.need_export()
    detector = Detector.from_checkpoint(settings.saved_model_dir, threads=settings.threads)
    batch = detector.metadata.batch_size or settings.batch_size or 1
    if settings.input_image:
        photo = as_array(list_photos(settings.input_image)[0])
    else:
        height, width = detector.metadata.image_hw
        shape = (height or 512, width or 512, 3)
        photo = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    photos = np.repeat(photo[None], batch, axis=0)
    print(f"photo {photo.shape[1]}x{photo.shape[0]} (WxH), batch {batch}")
    report(time_runs(lambda: detector.detect_batch(photos), settings), batch)
    if settings.trace_filename:
        graph = read_frozen_graph(_frozen_graph(settings.saved_model_dir))
        feeds = {"image_arrays:0": photos}
        write_chrome_trace(graph, feeds, ["detections:0"], settings.trace_filename)
        print(f"trace, for chrome://tracing: {settings.trace_filename}")


def _frozen_graph(path: str) -> str:
    """The frozen graph itself, or the one in a SavedModel folder.

    Raises:
        UserError: there is none.
    """
    if path.endswith(".pb"):
        return path
    names = files.list_names(path) if files.is_folder(path) else []
    frozen = [name for name in names if name.endswith("_frozen.pb")]
    if not frozen:
        raise UserError(
            f"--trace_filename traces TensorFlow's operations, and {path} has none of its frozen "
            "graphs: leave the flag out, or name a SavedModel of --runmode=saved_model"
        )
    return files.join(path, frozen[0])
