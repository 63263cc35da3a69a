"""The SavedModel as a server or a foreign program loads it: TensorFlow alone, nothing of ours."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from efficientvision.tasks.detection.predictor import Detector
from tests.filled_detector import textured_photo
from tests.small_networks import exported

_CLIENT = """
import json, sys
import tensorflow as tf

folder, photo = sys.argv[1:]
signatures = tf.saved_model.load(folder).signatures
encoded = tf.constant([open(photo, "rb").read()])
from_files = signatures["serving_base64"](image_files=encoded)["detections"]
pixels = tf.io.decode_png(encoded[0])[tf.newaxis]
from_arrays = signatures["serving_default"](image_arrays=pixels)["detections"]
assert not any(name.startswith("efficientvision") for name in sys.modules)
print(json.dumps([from_files.numpy().tolist(), from_arrays.numpy().tolist()]))
"""


@pytest.mark.slow
def test_signatures_need_nothing_of_ours(tmp_path):
    photo = textured_photo(90, 140)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    folder = exported("detector")
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, str(folder), str(tmp_path / "photo.png")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = Detector.from_checkpoint(folder).detect_batch(photo[None])
    assert (expected[0, :, 5] > 0).sum() > 20
    for found in json.loads(done.stdout.splitlines()[-1]):
        np.testing.assert_allclose(found, expected, atol=1e-4)
