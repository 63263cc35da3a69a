"""--runmode=saved_model_benchmark: how fast an exported model is, end to end."""

import numpy as np

from efficientvision.cli.inspect_bm import report, time_runs
from efficientvision.cli.inspect_settings import InspectSettings
from efficientvision.data.photos import list_photos
from efficientvision.detector import Detector, as_array


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
    report(time_runs(lambda: detector.detect_batch(photos), settings.bm_runs), batch)
