"""The detection pipeline: what comes out, in which order, and whether boxes fit their pixels."""

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.tasks.detection.augmentation import Augmentation
from efficientvision.tasks.detection.pipeline import detection_dataset

HW = (64, 96)
STEADY = Augmentation(input_rand_hflip=False, jitter_min=1.0, jitter_max=1.0)
COMBINED = Augmentation(mosaic_prob=0.5, mixup_prob=0.5, input_rand_vflip=True)


def train(pattern, **options):
    options = {"image_hw": HW, "batch_size": 4, "training": True, "seed": 7, **options}
    return detection_dataset(pattern, **options)


def evaluate(pattern, **options):
    return detection_dataset(
        pattern, **{"image_hw": HW, "batch_size": 4, "training": False, **options}
    )


def collect(dataset, steps):
    return [{k: v.numpy() for k, v in batch.items()} for batch in dataset.take(steps)]


def same(a, b):
    return len(a) == len(b) and all(
        np.array_equal(x[k], y[k]) for x, y in zip(a, b, strict=True) for k in x
    )


def test_shapes_and_types(make_records):
    pattern = make_records(5, boxes_per_image=(1, 0, 3))
    spec = train(pattern, max_instances_per_image=9).element_spec
    assert {k: (tuple(s.shape), s.dtype.name) for k, s in spec.items()} == {
        "images": ((4, 64, 96, 3), "uint8"),
        "valid_hw": ((4, 2), "int32"),
        "image_scale": ((4,), "float32"),
        "gt_boxes_yxyx": ((4, 9, 4), "float32"),
        "gt_classes": ((4, 9), "int32"),
        "source_id": ((4,), "string"),
    }
    spec = evaluate(pattern).element_spec
    assert spec["images"].dtype == tf.float32
    assert spec["gt_boxes_original_yxyx"].shape == (None, 100, 4)


@pytest.mark.parametrize(
    ("augmentation", "starts"),
    [
        pytest.param(None, (1, 5), id="plain", marks=pytest.mark.slow),
        pytest.param(COMBINED, (2,), id="combined"),
    ],
)
def test_order_and_augmentation_follow_the_seed_and_resume(make_records, augmentation, starts):
    pattern = make_records(10, boxes_per_image=(1, 2))
    steps = 12  # nearly five epochs
    options = {"augmentation": augmentation}
    first = collect(train(pattern, **options), steps)
    for start in starts:  # Amid an epoch, or where the third begins.
        again = train(pattern, start_step=start, **options)
        assert same(first[start:], collect(again, steps - start))
    assert not same(first[:2], collect(train(pattern, seed=8, **options), 2))


def test_epochs_differ_in_order_and_augmentation(make_records):
    first = collect(train(make_records(10)), 12)
    ids = np.concatenate([b["source_id"] for b in first])
    epochs = [ids[k : k + 10] for k in (0, 10, 20, 30)]
    assert all(len(set(epoch)) == 10 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    # The same image is augmented differently in another epoch.
    pixels = np.concatenate([b["images"] for b in first])
    assert not np.array_equal(pixels[ids == b"1"][0], pixels[ids == b"1"][1])


@pytest.mark.parametrize(
    ("augmentation", "parts"),
    [
        pytest.param(None, [(0, 0), (1, 1)], id="plain", marks=pytest.mark.slow),
        pytest.param(COMBINED, [(1, 0)], id="combined"),
    ],
)
def test_shares_of_several_readers_make_up_the_whole(make_records, augmentation, parts):
    pattern = make_records(9)
    options = {"augmentation": augmentation}
    whole = collect(train(pattern, **options), 6)
    whole = {name: np.concatenate([b[name] for b in whole]) for name in whole[0]}
    for index, start in parts:
        part = train(pattern, input_shard=(index, 2), batch_size=2, start_step=2 * start, **options)
        part = collect(part, 4)
        for name, values in whole.items():
            share = np.concatenate([b[name] for b in part])
            np.testing.assert_array_equal(share, values[8 * start :][index::2][:8])


@pytest.mark.parametrize(
    "options",
    [
        {"input_rand_vflip": True, "input_rand_rot90": True},
        {"mosaic_prob": 1.0, "input_rand_rot90": True},
        {"mixup_prob": 1.0},
        {"mosaic_prob": 0.5, "mixup_prob": 0.5},
    ],
    ids=["turned", "mosaic", "mixup", "both"],
)
def test_boxes_cover_the_red_pixels_and_nothing_else(make_records, options):
    """Of each picture, mosaics and blends too: red lies in boxes, and boxes are full of it."""
    pattern = make_records(9)
    augmentation = Augmentation(jitter_min=0.6, jitter_max=1.6, **options)
    boxes_seen = red = red_outside = 0
    for batch in collect(train(pattern, augmentation=augmentation), 8):
        for image, boxes in zip(batch["images"], batch["gt_boxes_yxyx"], strict=True):
            image = image.astype(int)
            # Blended with grey, red stays redder than green.
            redness = (image[..., 0] - image[..., 1]) / 255
            covered = np.zeros(HW, bool)
            for ymin, xmin, ymax, xmax in boxes[boxes[:, 0] >= 0]:
                inside = np.s_[round(ymin) + 1 : round(ymax) - 1, round(xmin) + 1 : round(xmax) - 1]
                if redness[inside].size:
                    assert redness[inside].mean() > 0.1
                    boxes_seen += 1
                covered[int(ymin) : int(ymax) + 2, int(xmin) : int(xmax) + 2] = True
            red += (redness > 0.1).sum()
            red_outside += (redness[~covered] > 0.1).sum()
    assert boxes_seen > 20
    # Only slivers of objects, of which a frame shows less than a tenth, have no box.
    assert red_outside < 0.02 * red
    for name in ("images", "gt_boxes_yxyx"):
        assert batch[name].shape[1:] == ((*HW, 3) if name == "images" else (100, 4))


def test_mosaics_fill_the_canvas_and_name_their_photos(make_records):
    pattern = make_records(20)
    options = {"max_instances_per_image": 2, "augmentation": Augmentation(mosaic_prob=1.0)}
    (batch,) = collect(train(pattern, **options), 1)
    assert batch["valid_hw"].tolist() == [list(HW)] * 4
    assert (batch["images"].max(axis=-1) >= 60).all()  # grey or red everywhere, no padding
    names = [name.split(b"+") for name in batch["source_id"]]
    assert all(len(set(photos)) == 4 for photos in names)
    assert batch["gt_boxes_yxyx"].shape == (4, 2, 4)


def test_mixing_stops_for_good(make_records):
    """Also of a run that resumes behind the end."""
    pattern = make_records(20)
    augmentation = Augmentation(mosaic_prob=1.0)
    stopped = collect(train(pattern, augmentation=augmentation, mix_until=6), 3)
    counts = [name.count(b"+") for batch in stopped for name in batch["source_id"]]
    assert min(counts[:6]) >= 3 and not any(counts[6:])
    resumed = train(pattern, augmentation=augmentation, mix_until=6, start_step=2)
    assert same(collect(resumed, 1), stopped[2:])


def test_crowds_and_limits(make_records):
    pattern = make_records(4, boxes_per_image=(3,))  # the second box is a crowd
    steady = {"augmentation": STEADY}
    (batch,) = collect(train(pattern, **steady), 1)
    assert batch["gt_classes"][:, :3].tolist() == [[1, 1, -1]] * 4
    (batch,) = collect(train(pattern, skip_crowd_during_training=False, **steady), 1)
    assert batch["gt_classes"][:, :4].tolist() == [[1, 2, 1, -1]] * 4
    (batch,) = collect(train(pattern, max_instances_per_image=1, **steady), 1)
    assert batch["gt_boxes_yxyx"].shape == (4, 1, 4)


def test_images_without_objects(make_records):
    pattern = make_records(4, boxes_per_image=(0,))
    for batch in collect(train(pattern), 2) + collect(evaluate(pattern), 1):
        assert (batch["gt_classes"] == -1).all() and (batch["gt_boxes_yxyx"] == -1).all()
        assert batch["images"].any()


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_evaluation(make_records, image_format):
    pattern = make_records(6, boxes_per_image=(3,), image_format=image_format)
    batches = collect(evaluate(pattern), 9)
    assert [len(b["source_id"]) for b in batches] == [4, 2]
    ids = np.concatenate([b["source_id"] for b in batches])
    assert ids.tolist() == [b"1", b"3", b"5", b"2", b"4", b"6"]  # shard by shard
    b = batches[0]
    assert b["original_hw"].tolist() == [[60, 80], [80, 80], [70, 80], [70, 90]]
    np.testing.assert_allclose(
        b["image_scale"], np.max(b["original_hw"] / np.array(HW), axis=1), rtol=1e-6
    )
    assert b["gt_is_crowd"][:, :3].tolist() == [[False, True, False]] * 4
    boxes = b["gt_boxes_original_yxyx"][:, :3]
    np.testing.assert_allclose(boxes, np.round(boxes), atol=1e-4)
    # valid_hw is truncated to whole pixels, so a box comes back to a pixel of the photo or so.
    back = b["gt_boxes_yxyx"][:, :3] * b["image_scale"][:, None, None]
    np.testing.assert_allclose(back, boxes, atol=1.5)
    sides = boxes[..., 2:] - boxes[..., :2]
    np.testing.assert_allclose(b["gt_area"][:, :3], sides.prod(-1), rtol=1e-5)
    assert (b["gt_area"][:, 3:] == -1).all()


def test_pad_last_batch_and_max_examples(make_records):
    pattern = make_records(6)
    batches = collect(evaluate(pattern, pad_last_batch=True), 9)
    assert [b["images"].shape[0] for b in batches] == [4, 4]
    assert batches[1]["source_id"].tolist() == [b"4", b"6", b"", b""]
    assert (batches[1]["gt_classes"][2:] == -1).all()
    assert same(batches[:1], collect(evaluate(pattern, max_examples=4, pad_last_batch=True), 9))
    batches = collect(train(pattern, max_examples=2, num_epochs=6), 99)
    assert len(batches) == 3 and {i for b in batches for i in b["source_id"]} == {b"1", b"3"}


def test_regenerated_ids_depend_on_the_image_alone(make_records):
    pattern = make_records(4)
    runs = [collect(evaluate(pattern, regenerate_source_id=True), 1)[0] for _ in range(2)]
    assert len(set(runs[0]["source_id"])) == 4 and same(runs[:1], runs[1:])
    assert all(i.isdigit() and len(i) > 6 for i in runs[0]["source_id"])


def test_bad_arguments(make_records):
    pattern = make_records(2)
    with pytest.raises(UserError, match="No record file matches 'none\\*'"):
        train("none*")
    with pytest.raises(UserError, match="jitter_min"):
        Augmentation(jitter_min=2.0, jitter_max=1.0)
    with pytest.raises(UserError, match="at least 1"):
        train(pattern, batch_size=0)


def test_the_same_photos_at_further_sizes(make_records):
    pattern = make_records(3, boxes_per_image=(1,))
    sizes = [((32, 48), (32, 48)), ((96, 128), (48, 72))]
    batches = collect(evaluate(pattern, more_sizes=sizes, pad_last_batch=True), 2)
    assert len(batches) == 1
    for number, (image_hw, fit_hw) in enumerate(sizes, start=1):
        (alone,) = collect(evaluate(pattern, image_hw=fit_hw), 2)
        images = batches[0][f"images_{number}"]
        assert images.shape == (4, *image_hw, 3)
        height, width = fit_hw
        np.testing.assert_array_equal(images[:3, :height, :width], alone["images"])
        assert not images[:, height:].any() and not images[:, :, width:].any()
        np.testing.assert_array_equal(batches[0][f"valid_hw_{number}"][:3], alone["valid_hw"])
        # Nothing divides by the size of what fills up the batch.
        assert (batches[0][f"valid_hw_{number}"][3] == 1).all()
