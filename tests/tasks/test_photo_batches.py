"""Photos of any kind as arrays, or one sentence."""

import io

import numpy as np
import pytest
from PIL import Image

from efficientvision.errors import UserError
from efficientvision.tasks.classification.metadata import ClassificationMetadata
from efficientvision.tasks.classification.predictor import Classifier
from efficientvision.tasks.photo_batches import as_array


@pytest.fixture
def jpeg():
    file = io.BytesIO()
    photo = np.random.default_rng(0).integers(0, 255, (80, 90, 3)).astype(np.uint8)
    Image.fromarray(photo).save(file, "JPEG")
    return file.getvalue()


def test_a_pil_image_of_a_file_that_was_cut_short(tmp_path, jpeg):
    (tmp_path / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    with Image.open(tmp_path / "cut.jpg") as image:
        with pytest.raises(UserError, match=r"the PIL image of '.*cut.jpg' cannot be decoded"):
            as_array(image)
    with pytest.raises(UserError, match="the PIL image cannot be decoded"):
        as_array(Image.open(io.BytesIO(jpeg[: len(jpeg) // 2])))


def test_a_closed_pil_image(jpeg):
    image = Image.open(io.BytesIO(jpeg))
    image.close()
    with pytest.raises(UserError, match="or the image was closed before its pixels were read"):
        as_array(image)


def test_no_photos():
    """As of a folder whose photos of one batch are all spoilt."""
    names = {1: "cat", 2: "dog"}
    metadata = ClassificationMetadata("efficientnet-b0", (8, 8), 2, names, batch_size=None)
    classifier = Classifier(None, metadata)
    assert classifier.classify([]) == []
    assert classifier.probabilities([]).shape == (0, 2)
