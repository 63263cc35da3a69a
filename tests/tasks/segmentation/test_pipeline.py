"""Records with masks, from the file to the batch."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data.checks import iterate
from efficientvision.data.mask_records import IGNORED, encode_mask, parse_mask_example
from efficientvision.errors import UserError
from efficientvision.tasks.segmentation.pipeline import (
    MaskAugmentation,
    published_scale,
    segmentation_dataset,
)
from tests.made_class_records import made_class_record, write_class_records
from tests.made_mask_records import LEVELS, made_mask_record, picture, write_records

COUNT = 10
SIZES = ((40, 56), (56, 40), (24, 30))


@pytest.fixture
def records(tmp_path):
    return write_records(tmp_path / "train-00000-of-00001.tfrecord", COUNT, SIZES)


def batches(pattern, count, **options):
    options = {"image_hw": (32, 48), "batch_size": 4, **options}
    dataset = segmentation_dataset(pattern, **options)
    return [{k: v.numpy() for k, v in batch.items()} for batch in dataset.take(count)]


def test_record_comes_back():
    parsed = parse_mask_example(tf.constant(made_mask_record(4)))
    assert parsed["source_id"].numpy() == b"4"
    mask = tf.io.decode_png(parsed["mask_encoded"])[..., 0].numpy()
    np.testing.assert_array_equal(mask, picture(4)[1])


@pytest.mark.parametrize("scale", [(0.5, 0.9), (1.0, 1.0), (0.5, 2.0)])
def test_image_and_mask_always_go_together(records, scale):
    """The grey of a pixel tells its class, except near an edge between two blocks."""
    augmentation = MaskAugmentation(scale, vertical_flip=True, quarter_turns=True)
    for batch in batches(records, 6, training=True, seed=3, augmentation=augmentation):
        images, masks = batch["images"], batch["masks"]
        assert images.dtype == masks.dtype == np.uint8
        assert images.shape == (4, 32, 48, 3) and masks.shape == (4, 32, 48)
        np.testing.assert_array_equal(masks == IGNORED, np.all(images == 0, axis=-1))
        seen = masks != IGNORED
        told = np.abs(images[..., :1].astype(int) - LEVELS).argmin(axis=-1)
        share = (told == masks)[seen].mean()
        assert share == 1 if scale == (1.0, 1.0) else share > 0.8
        assert len(np.unique(masks[seen])) == 4


def test_a_mask_is_never_mixed(tmp_path):
    """Classes 0 and 200 side by side, enlarged: nothing between."""
    mask = np.where(np.indices((40, 56))[1] // 3 % 2, 200, 0).astype(np.uint8)
    path = write_class_records(tmp_path / "a.tfrecord", [made_mask_record(0, mask=mask)])
    scale = MaskAugmentation((1.3, 1.9))
    (batch,) = batches(path, 1, training=True, seed=0, augmentation=scale)
    assert set(np.unique(batch["masks"])) <= {0, 200, IGNORED}


def test_training_goes_on_where_it_stopped(records):
    whole = batches(records, 5, training=True, seed=3)
    rest = batches(records, 2, training=True, seed=3, start_step=3)
    for ours, theirs in zip(whole[3:], rest, strict=True):
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])
    other = batches(records, 1, training=True, seed=4)
    assert (other[0]["images"] != whole[0]["images"]).any()


def test_readers_share_the_one_sequence(records):
    whole = [n for b in batches(records, 4, training=True, seed=0) for n in b["source_id"]]
    share = batches(records, 4, training=True, seed=0, batch_size=2, input_shard=(1, 2))
    assert [n for b in share for n in b["source_id"]] == whole[1::2]


def test_evaluation_keeps_masks_at_their_own_size(records):
    found = batches(records, 9, training=False, more_sizes=[(16, 24)])
    names = [n for b in found for n in b["source_id"]]
    assert names == [b"%d" % i for i in range(COUNT)]
    assert found[0]["masks"].shape == (4, 56, 56)  # The largest of a batch on each side.
    for number in range(COUNT):
        batch, row = found[number // 4], number % 4
        image, mask = picture(number, SIZES[number % 3])
        height, width = batch["mask_sizes"][row]
        np.testing.assert_array_equal(batch["masks"][row, :height, :width], mask)
        assert (batch["masks"][row, height:] == IGNORED).all()
        assert (batch["masks"][row, :, width:] == IGNORED).all()
        for name, size in (("images", (48, 32)), ("images_1", (24, 16))):
            expected = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
            difference = batch[name][row].astype(int) - np.asarray(expected)
            assert np.abs(difference).max() <= 1


def test_a_class_map_is_applied_to_masks(records):
    table = [IGNORED if value == 2 else 7 * value for value in range(37)] + [IGNORED] * 219
    plain = batches(records, 2, training=True, seed=1)
    mapped = batches(records, 2, training=True, seed=1, class_map=table)
    for before, after in zip(plain, mapped, strict=True):
        np.testing.assert_array_equal(np.array(table)[before["masks"]], after["masks"])
    with pytest.raises(UserError, match="256 values"):
        batches(records, 1, training=True, class_map=[0, 1])


def test_a_mask_of_another_size_names_the_record(tmp_path):
    mask = np.zeros((40, 55), np.uint8)
    path = write_class_records(
        tmp_path / "a.tfrecord", [made_mask_record(0), made_mask_record(1, mask=mask)]
    )
    for training in (True, False):
        dataset = segmentation_dataset(
            path, image_hw=(32, 32), batch_size=2, training=training, seed=0
        )
        with pytest.raises(UserError, match=r"record 1 of .*image '1' .* 55 x 40 .* 56 x 40"):
            list(iterate(dataset.take(1), path))


def test_a_spoilt_mask_names_the_record(tmp_path):
    cut = encode_mask(picture(1)[1])[:60]
    path = write_class_records(
        tmp_path / "a.tfrecord", [made_mask_record(0), made_mask_record(1, mask_encoded=cut)]
    )
    dataset = segmentation_dataset(path, image_hw=(32, 32), batch_size=2, training=False)
    with pytest.raises(UserError, match=r"record 1 of .*image '1' .*its mask cannot be decoded"):
        list(iterate(dataset, path))


def test_records_without_masks_are_refused(tmp_path):
    path = write_class_records(tmp_path / "a.tfrecord", [made_class_record(0)])
    dataset = segmentation_dataset(path, image_hw=(32, 32), batch_size=1, training=False)
    with pytest.raises(UserError, match="record 0 of .* has no mask"):
        list(iterate(dataset, path, of_masks=True))


def test_published_scales():
    """`training_recipe.json`, segmentation, scale_range."""
    assert published_scale("pascal", 384) == MaskAugmentation().scale == (0.5, 2.0)
    found = [published_scale("city", width) for width in (512, 1024, 2048)]
    assert found == [(0.25, 0.5), (0.35, 1.0), (1.0, 2.0)]
