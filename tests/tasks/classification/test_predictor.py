"""ev.Classifier: photos of any kind to named classes, from a network or an export."""

import gzip
import json

import numpy as np
import pytest
from PIL import Image

import efficientvision as ev
from efficientvision.errors import UserError
from efficientvision.tasks.classification.metadata import ClassificationMetadata
from efficientvision.tasks.classification.predictor import Classifier, Prediction
from tests.conftest import REPOSITORY
from tests.filled_detector import textured_photo
from tests.small_networks import CLASS_NAMES, CLASSIFIER, exported, small_classifier
from tests.weights.made_torch_files import write_zip

PHOTO = textured_photo(150, 110)


@pytest.fixture(scope="module")
def classifier():
    return Classifier.from_loaded(small_classifier())


def made(rows, **facts):
    """A classifier that gives these rows, whatever it is shown."""
    rows = np.float32(rows)
    metadata = ClassificationMetadata(
        "m", (8, 8), rows.shape[1], CLASS_NAMES, batch_size=None, **facts
    )
    return Classifier(lambda images: rows[: len(images)], metadata)


def test_the_public_name():
    assert ev.Classifier is Classifier


def test_array_file_and_pil_give_the_same(classifier, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    expected = classifier.classify(PHOTO)
    assert classifier.classify(tmp_path / "photo.png") == expected
    assert classifier.classify(Image.fromarray(PHOTO)) == expected
    several = classifier.classify([PHOTO, str(tmp_path / "photo.png")], batch_size=2)
    assert [[name for name, _ in found] for found in several] == [[n for n, _ in expected]] * 2


def test_best_first_with_names_and_a_limit(classifier):
    row = classifier.probabilities([PHOTO])[0]
    found = classifier.classify(PHOTO)
    assert len(found) == 5 and isinstance(found[0], Prediction)
    assert found[0] == (CLASS_NAMES[int(row.argmax()) + 1], pytest.approx(float(row.max())))
    assert [p.probability for p in found] == sorted(row.tolist(), reverse=True)[:5]
    assert len(classifier.classify(PHOTO, top_k=2)) == 2
    assert len(classifier.classify(PHOTO, top_k=None)) == 6


def test_a_class_without_a_name_is_told_by_its_number():
    metadata = ClassificationMetadata("m", (8, 8), 3, batch_size=None)
    unnamed = Classifier(lambda images: np.float32([[0.1, 0.7, 0.2]]), metadata)
    assert unnamed.classify(PHOTO, top_k=1)[0].name == "class 2"


def test_a_multi_label_model_gives_all_that_are_likely_enough():
    row = [[0.9, 0.1, 0.8, 0.7, 0.6, 0.55]]
    names = [name for name, _ in made(row, multilabel=True).classify(PHOTO, top_k=2)]
    assert names == ["ant", "cat", "dog", "emu", "fox"]
    assert made([[0.1] * 6], multilabel=True).classify(PHOTO) == []
    assert len(made(row).classify(PHOTO, top_k=6)) == 6


def test_photos_of_several_sizes_and_a_fixed_batch():
    sizes = [(6, 4), (4, 8), (6, 4), (6, 4)]
    photos = [np.full((*hw, 3), 10 * i, np.uint8) for i, hw in enumerate(sizes)]
    seen = []

    def run(images):
        seen.append(images.shape[:3])
        return images[:, 0, 0, :1].astype(np.float32)

    metadata = ClassificationMetadata("m", (8, 8), 1, batch_size=2)
    rows = Classifier(run, metadata).probabilities(photos)
    assert rows[:, 0].tolist() == [0, 10, 20, 30]
    assert sorted(seen) == [(2, 4, 8), (2, 6, 4), (2, 6, 4)]


def test_exports_give_the_same(classifier):
    expected = classifier.classify(PHOTO)
    folder = exported("classifier")
    for path in (folder, folder / f"{CLASSIFIER}_frozen.pb"):
        loaded = Classifier.from_checkpoint(path)
        assert loaded.class_names == CLASS_NAMES and loaded.metadata.model_name == CLASSIFIER
        for (name, probability), one in zip(loaded.classify(PHOTO), expected, strict=True):
            assert name == one.name and probability == pytest.approx(one.probability, abs=1e-4)


def test_what_is_baked_in_or_of_another_kind_is_told():
    with pytest.raises(UserError, match="so image_size cannot be changed"):
        Classifier.from_checkpoint(exported("classifier"), image_size=32)
    with pytest.raises(UserError, match="efficientdet-d0, which is not a classifier: use Detector"):
        Classifier.from_checkpoint(exported("detector"))
    with pytest.raises(UserError, match="espnetv2_s_0.5, which is not a detector: use Classifier"):
        ev.Detector.from_checkpoint(exported("classifier"))
    with pytest.raises(UserError, match="nowhere"):
        Classifier.from_checkpoint("nowhere")


def test_numbers_that_are_none_are_told():
    with pytest.raises(UserError, match="not finite: its weights are damaged"):
        made([[0.5, np.nan, 0, 0, 0, 0]]).classify(PHOTO)


def test_a_file_of_another_task_is_told(tmp_path):
    shapes = {
        name: np.zeros(shape, np.float32)
        for name, shape in read_state_dict_shapes("espnetv2_s_0.5 segmentation").items()
    }
    write_zip(tmp_path / "seg.pth", shapes)
    with pytest.raises(UserError, match="seg.pth is espnetv2_s_0.5 for segmentation with 21"):
        Classifier.from_checkpoint(tmp_path / "seg.pth")


def read_state_dict_shapes(network):
    path = REPOSITORY / "tests/goldens/edgenets/state_dicts.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))[network]


def test_drawing_keeps_the_photo(classifier):
    picture = np.asarray(classifier.draw(PHOTO, classifier.classify(PHOTO)))
    assert (picture[-150:, :110] == PHOTO).all() or any(
        (picture[y : y + 150, :110] == PHOTO).all() for y in range(picture.shape[0] - 149)
    )
