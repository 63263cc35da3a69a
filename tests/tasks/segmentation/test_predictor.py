"""ev.Segmenter: photos of any kind to class maps, from a network or an export, also in tiles."""

import json

import numpy as np
import pytest
from PIL import Image

import efficientvision as ev
from efficientvision.errors import UserError
from efficientvision.tasks.segmentation.metadata import SegmentationMetadata
from efficientvision.tasks.segmentation.photo_sized import input_hw
from efficientvision.tasks.segmentation.predictor import Segmenter
from tests.filled_detector import textured_photo
from tests.filled_segmenter import NAMES, loaded_segmenter, segmenter_run
from tests.small_networks import PIXEL_NAMES, SEGMENTER, exported, small_segmenter
from tests.small_networks import SEGMENTER_HW as HW

PHOTO = textured_photo(150, 110)
CLASS_MAPS, LOGITS = ({"kind": "segmenter", "result": name} for name in ("class_map", "logits"))


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.from_loaded(small_segmenter())


def test_array_file_and_pil_give_the_same(segmenter, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    expected = segmenter.predict(PHOTO)
    assert expected.shape == (150, 110) and expected.dtype == np.uint8
    assert len(np.unique(expected)) > 2
    for photo in (tmp_path / "photo.png", Image.fromarray(PHOTO)):
        np.testing.assert_array_equal(segmenter.predict(photo), expected)
    several = segmenter.predict([PHOTO, textured_photo(40, 90), PHOTO], batch_size=2)
    assert [m.shape for m in several] == [(150, 110), (40, 90), (150, 110)]
    np.testing.assert_array_equal(several[2], expected)


def test_exports_give_the_same(segmenter):
    expected = segmenter.predict(PHOTO)
    for folder in (CLASS_MAPS, LOGITS):
        for path in (exported(**folder), exported(**folder) / f"{SEGMENTER}_frozen.pb"):
            loaded = Segmenter.from_checkpoint(path)
            assert loaded.class_names == PIXEL_NAMES
            # Batch norms are folded: near ties may fall either way.
            assert (loaded.predict(PHOTO) != expected).mean() < 1e-3


def test_drawing_keeps_the_photo_under_the_background(segmenter):
    class_map = np.zeros((150, 110), np.uint8)
    class_map[:75] = 3
    picture = np.asarray(segmenter.draw(PHOTO, class_map, legend=None))
    assert (picture[76:] == PHOTO[76:]).all() and (picture[:75] != PHOTO[:75]).any()


@pytest.mark.slow
def test_a_run_and_each_photo_at_its_own_size():
    """A network of the photo's size sees what the fixed one sees, where the sizes agree."""
    fixed = Segmenter.from_loaded(loaded_segmenter())
    own = Segmenter.from_checkpoint(segmenter_run(), at_photo_size=True)
    assert own.class_names == NAMES
    assert [input_hw(hw) for hw in ((64, 96), (95, 127), (20, 40))] == [(64, 96)] * 2 + [(32, 32)]
    photo = textured_photo(70, 100, seed=3)
    expected = fixed.predict(photo)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(own.predict(photo), expected)


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize(
    ("name", "case"),
    [("dicenet_s_0.5_city_512x256", "sample8"), ("espnetv2_s_0.5_pascal_256x256", "sample1")],
)
def test_the_originals_demonstration(shared_dir, name, case):
    """Class maps of the original code for photos at their own size, every eighth pixel."""
    reference = shared_dir / "reference" / "edgenets" / "segmentation"
    weights = shared_dir / "weights" / "edgenets" / f"{name}.pth"
    if not (weights.is_file() and reference.is_dir()):
        pytest.skip(f"needs {weights} and {reference}")
    segmenter = Segmenter.from_checkpoint(weights, at_photo_size=True)
    class_map = segmenter.predict(shared_dir / "data" / "photos" / f"{case}.jpg")
    facts = json.loads((reference / "photos.json").read_text())["photos"][case]
    assert list(class_map.shape[::-1]) == facts["orig_wh"]
    small = Image.fromarray(class_map).resize(facts["resized_wh"], Image.Resampling.NEAREST)
    expected = np.load(reference / f"{name}.npz")[f"{case}:argmax_8"]
    assert len(np.unique(expected)) > 1
    assert (np.asarray(small)[::8, ::8] != expected).mean() <= 1e-3


def test_one_tile_is_the_whole():
    photo = textured_photo(*HW, seed=4)
    whole = Segmenter.from_loaded(small_segmenter())
    tiled = Segmenter.from_loaded(small_segmenter(), overlap=32)
    np.testing.assert_array_equal(tiled.predict(photo), whole.predict(photo))


def test_tiles_of_an_export_are_those_of_the_network():
    photo = textured_photo(130, 200, seed=5)
    network = Segmenter.from_loaded(small_segmenter(), overlap=16)
    export = Segmenter.from_checkpoint(exported(**LOGITS), tile="96x64", overlap=16)
    expected = network.predict(photo)
    assert expected.shape == (130, 200) and len(np.unique(expected)) > 2
    assert (export.predict(photo) != expected).mean() < 1e-3


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"tile": "96x64"}, "was exported without logits.*`segmentation_output=logits`"),
        ({"tile": "64x64"}, "was exported for images of 96x64: use `tile=96x64`"),
        ({"image_size": 32}, "so image_size cannot be changed"),
    ],
)
def test_what_an_export_cannot_do_is_told(options, complaint):
    with pytest.raises(UserError, match=complaint):
        Segmenter.from_checkpoint(exported(**CLASS_MAPS), **options)


def test_bad_tiles_are_told():
    for overlap in (-1, 64):
        with pytest.raises(UserError, match=f"`tile_overlap={overlap}` must be at least 0 and"):
            Segmenter.from_loaded(small_segmenter(), overlap=overlap)
    with pytest.raises(UserError, match="`tile` cannot be combined"):
        Segmenter.from_loaded(small_segmenter(), overlap=8, at_photo_size=True)


def test_another_kind_of_model_is_told():
    with pytest.raises(UserError, match="espnetv2_s_0.5, which is not a segmenter: use Classifier"):
        Segmenter.from_checkpoint(exported("classifier"))
    with pytest.raises(UserError, match="espnetv2_s_0.5, which is not a classifier: use Segmenter"):
        ev.Classifier.from_checkpoint(exported(**CLASS_MAPS))


def test_a_fixed_batch_is_filled():
    seen = []

    def run(images):
        seen.append(images.shape)
        return images[..., 0]

    metadata = SegmentationMetadata("m", (8, 8), 256, batch_size=2)
    photos = [np.full((6, 4, 3), i, np.uint8) for i in (3, 1, 2)]
    found = ev.Segmenter(run, metadata).predict(photos)
    assert [int(m[0, 0]) for m in found] == [3, 1, 2] and seen == [(2, 6, 4, 3)] * 2
