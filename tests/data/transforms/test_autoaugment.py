"""AutoAugment: the published numbers, each operation at its level, and the drawing of them."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from efficientvision.data.transforms import autoaugment
from efficientvision.data.transforms.autoaugment_policies import (
    POLICIES,
    RANDAUG,
    RANDAUG_OPERATIONS,
)

SIZE = (120, 160)
BOX = (30, 40, 80, 100)  # y0 x0 y1 x1


@pytest.fixture(scope="module")
def facts(shared_dir):
    path = shared_dir / "reference" / "automl" / "autoaugment.json"
    if not path.exists():
        pytest.skip(f"needs the reference's numbers in {path}")
    return json.loads(path.read_text())


def scene():
    """Noise with a marked object: (image, normalised boxes)."""
    image = np.random.default_rng(1).integers(0, 120, (*SIZE, 3), np.uint8)
    image[BOX[0] : BOX[2], BOX[1] : BOX[3]] += 100
    return image, np.array([BOX], np.float32) / [*SIZE, *SIZE]


def apply(name, level, probability=3.0, seed=(3, 4)):
    image, boxes = scene()
    image, boxes = autoaugment.OPERATIONS[name].apply(
        tf.constant(image),
        tf.constant(boxes, tf.float32),
        tf.constant(level, tf.float32),
        tf.constant(probability),
        tf.constant(seed, tf.int64),
    )
    return image.numpy(), boxes.numpy() * [*SIZE, *SIZE]


def drawer(policy, **randaug):
    options = {"randaug_num_layers": 1, "randaug_magnitude": 15.0, **randaug}

    @tf.function
    def draw(image, boxes, classes, seed):
        return autoaugment.augment(image, boxes, classes, seed, policy=policy, **options)

    return draw


def draw_many(draw, count):
    image, boxes = scene()
    arguments = tf.constant(image), tf.constant(boxes, tf.float32), tf.constant([7])
    return [
        [v.numpy() for v in draw(*arguments, tf.constant([11, k], tf.int64))] for k in range(count)
    ]


def test_names_and_sizes_are_the_published_ones(facts):
    assert set(autoaugment.OPERATIONS) == set(facts["ops"])
    assert set(POLICIES) == set(facts["policies"])
    for name, numbers in facts["policies"].items():
        lengths = sorted({len(steps) for steps in POLICIES[name]})
        assert len(POLICIES[name]) == numbers["subpolicies"]
        assert "-".join(map(str, lengths)) == str(numbers["ops_each"])
    assert list(RANDAUG_OPERATIONS) == facts["randaug"]["ops"]
    for steps in [steps for policy in POLICIES.values() for steps in policy]:
        for name, probability, level in steps:
            assert name in facts["ops"] and 0 <= probability <= 1 and 0 <= level <= 10


# What PIL does at the argument that the published formula gives for the level.
@pytest.mark.parametrize("level", [0, 2, 3, 6, 8, 10])
@pytest.mark.parametrize(
    ("name", "by_pil"),
    [
        ("AutoContrast", lambda im, level: ImageOps.autocontrast(im)),
        ("Equalize", lambda im, level: ImageOps.equalize(im)),
        ("Posterize", lambda im, level: ImageOps.posterize(im, max(int(level / 10 * 4), 1))),
        ("Solarize", lambda im, level: ImageOps.solarize(im, int(level / 10 * 256))),
        ("Color", lambda im, level: ImageEnhance.Color(im).enhance(level / 10 * 1.8 + 0.1)),
        ("Contrast", lambda im, level: ImageEnhance.Contrast(im).enhance(level / 10 * 1.8 + 0.1)),
        (
            "Brightness",
            lambda im, level: ImageEnhance.Brightness(im).enhance(level / 10 * 1.8 + 0.1),
        ),
        ("Sharpness", lambda im, level: ImageEnhance.Sharpness(im).enhance(level / 10 * 1.8 + 0.1)),
    ],
)
def test_levels_of_colour_operations(name, by_pil, level):
    image, boxes = apply(name, level)
    expected = np.asarray(by_pil(Image.fromarray(scene()[0]), level)).astype(int)
    difference = np.abs(image - expected)
    # A product that is whole (0.46 * 50) may end below it in float32.
    assert difference.max() <= 1 and (difference > 0).mean() < 0.03
    np.testing.assert_allclose(boxes, [BOX], atol=1e-4)


def test_levels_of_solarize_add_and_of_the_cutouts():
    original = scene()[0]
    image, _ = apply("SolarizeAdd", 6)
    np.testing.assert_array_equal(image, np.where(original < 128, original + 66, original))
    for name, level, most in (
        ("Cutout", 4, (80, 80)),  # twice 40
        ("Cutout_Only_BBoxes", 4, (40, 40)),  # twice 20
        ("BBox_Cutout", 8, (30, 36)),  # 0.6 of the box's 50 x 60
    ):
        sizes = []
        for index in range(25):
            image, boxes = apply(name, level, seed=(2, index))
            grey = (image == 128).all(-1) & (original != 128).any(-1)
            rows, columns = np.flatnonzero(grey.any(1)), np.flatnonzero(grey.any(0))
            sizes.append((np.ptp(rows) + 1, np.ptp(columns) + 1))
            if name == "Cutout_Only_BBoxes":
                assert rows[0] >= BOX[0] and rows[-1] < BOX[2] and columns[0] >= BOX[1]
            np.testing.assert_allclose(boxes, [BOX], atol=1e-4)
        assert tuple(np.max(sizes, axis=0)) == most


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("name", "level", "expected"),
    [
        # (dy, dx) of the box's corners y0 x0 y1 x1 at the published formula's argument.
        ("TranslateX_BBox", 1, lambda s: (0, -25 * s, 0, -25 * s)),
        ("TranslateY_BBox", 1, lambda s: (-25 * s, 0, -25 * s, 0)),
        # 0.15 of the distance from the top, 30 to 80 pixels.
        ("ShearX_BBox", 5, lambda s: (0, -12, 0, -4.5) if s > 0 else (0, 4.5, 0, 12)),
        # 0.15 of the distance from the left, 40 to 100 pixels.
        ("ShearY_BBox", 5, lambda s: (-15, 0, -6, 0) if s > 0 else (6, 0, 15, 0)),
    ],
)
def test_levels_of_operations_with_boxes(name, level, expected, sign):
    image, boxes = apply(name, sign * level)
    np.testing.assert_allclose(boxes[0] - BOX, expected(sign), atol=1e-3)
    assert autoaugment.OPERATIONS[name].signed
    marked = image.min(-1) > 128  # Grey fill is 128; the object has 100 or more.
    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    seen = np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])
    inside = boxes[0].round().astype(int)
    assert (seen[:2] >= inside[:2] - 1).all() and (seen[2:] <= inside[2:] + 1).all()


def test_level_of_rotation():
    _, boxes = apply("Rotate_BBox", 10)
    # 30 degrees anticlockwise about (60, 80), by hand: y down, so up is minus.
    corners = [(y - 60, x - 80) for y in (30, 80) for x in (40, 100)]
    cosine, sine = np.cos(np.pi / 6), np.sin(np.pi / 6)
    turned = np.array([(y * cosine - x * sine, x * cosine + y * sine) for y, x in corners])
    expected = [*(turned.min(0) + [60, 80]), *(turned.max(0) + [60, 80])]
    np.testing.assert_allclose(boxes[0], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "level", "by_numpy"),
    [
        ("Flip_Only_BBoxes", 5, lambda part: part[:, ::-1]),
        ("Solarize_Only_BBoxes", 5, lambda part: np.where(part < 128, part, 255 - part)),
        (
            "Equalize_Only_BBoxes",
            5,
            lambda part: np.asarray(ImageOps.equalize(Image.fromarray(part))),
        ),
        # 120 * 2 / 10 pixels.
        (
            "TranslateX_Only_BBoxes",
            2,
            lambda part: np.pad(part, [(0, 0), (0, 24), (0, 0)], constant_values=128)[:, 24:],
        ),
        (
            "TranslateY_Only_BBoxes",
            -2,
            lambda part: np.pad(part, [(24, 0), (0, 0), (0, 0)], constant_values=128)[:-24],
        ),
    ],
)
def test_operations_inside_boxes(name, level, by_numpy):
    image, boxes = apply(name, level)
    expected = scene()[0]
    inside = np.s_[BOX[0] : BOX[2], BOX[1] : BOX[3]]
    expected[inside] = by_numpy(expected[inside])
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_allclose(boxes, [BOX], atol=1e-4)


@pytest.mark.parametrize("name", ["Rotate_Only_BBoxes", "ShearX_Only_BBoxes", "ShearY_Only_BBoxes"])
def test_turned_and_sheared_objects_leave_grey_corners_and_all_else(name):
    image, _ = apply(name, 10)
    original = scene()[0]
    outside = np.ones(SIZE, bool)
    outside[BOX[0] : BOX[2], BOX[1] : BOX[3]] = False
    np.testing.assert_array_equal(image[outside], original[outside])
    part = image[BOX[0] : BOX[2], BOX[1] : BOX[3]]
    share = (part == 128).all(-1).mean()
    # 0.3 * 50 / 2 of 60 columns; 0.3 * 60 / 2 of 50 rows; the corners of a 30 degree turn.
    expected = {"ShearX": 7.5 / 60, "ShearY": 9 / 50}.get(name.split("_")[0])
    assert 0.1 < share < 0.3 if expected is None else abs(share - expected) < 0.015


def test_the_test_policy_moves_by_100_pixels_and_equalizes():
    original = scene()[0]
    moved = {
        -1: np.pad(original, [(0, 0), (100, 0), (0, 0)], constant_values=128)[:, :160],
        1: np.pad(original, [(0, 0), (0, 100), (0, 0)], constant_values=128)[:, 100:],
    }
    expected = {s: np.asarray(ImageOps.equalize(Image.fromarray(im))) for s, im in moved.items()}
    signs = []
    for image, boxes, classes in draw_many(drawer("test"), 12):
        (sign,) = (s for s in (-1, 1) if np.array_equal(image, expected[s]))
        signs.append(sign)
        if sign > 0:  # The object has left.
            assert len(boxes) == len(classes) == 0
        else:
            np.testing.assert_allclose(boxes * [*SIZE, *SIZE], [[30, 140, 80, 160]], atol=1e-3)
            assert classes.tolist() == [7]
    assert set(signs) == {-1, 1}


def test_steps_happen_in_order_with_their_probability(monkeypatch):
    policy = (
        (("Brightness", 0.3, 0), ("Solarize", 1.0, 0)),  # darken or not; then invert
        (("Posterize", 1.0, 0),),
    )
    monkeypatch.setitem(POLICIES, "two", policy)
    original = scene()[0]
    dark = np.asarray(ImageEnhance.Brightness(Image.fromarray(original)).enhance(0.1))
    outcomes = {"inverted": 255 - original, "both": 255 - dark, "posterized": original & 128}
    counts = dict.fromkeys(outcomes, 0)
    for image, _, _ in draw_many(drawer("two"), 200):
        (name,) = (n for n, im in outcomes.items() if np.abs(image.astype(int) - im).max() <= 1)
        counts[name] += 1
    assert 75 < counts["posterized"] < 125
    assert 0.15 < counts["both"] / (counts["both"] + counts["inverted"]) < 0.45


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(name, marks=[] if name in ("v1", "test", RANDAUG) else pytest.mark.slow)
        for name in (*POLICIES, RANDAUG)
    ],
)
def test_policies_run_and_follow_the_seed(policy):
    draw = drawer(policy)
    results = draw_many(draw, 12)
    for image, boxes, classes in results:
        assert image.shape == (*SIZE, 3) and image.dtype == np.uint8
        assert len(boxes) == len(classes) and (boxes >= 0).all() and (boxes <= 1).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    for one, again in zip(results, draw_many(draw, 12), strict=True):
        for a, b in zip(one, again, strict=True):
            np.testing.assert_array_equal(a, b)
    assert len({image.tobytes() for image, _, _ in results}) > (2 if policy != "test" else 1)


def test_randaugment_draws_all_its_operations_and_several_in_a_row(monkeypatch):
    monkeypatch.setattr(autoaugment, "RANDAUG_OPERATIONS", ("Brightness", "Solarize"))
    original = scene()[0]
    bright = np.asarray(ImageEnhance.Brightness(Image.fromarray(original)).enhance(1.0))
    # Level 5: brightness 1.0 changes nothing, solarize inverts from 128 on.
    solarized = np.where(original < 128, original, 255 - original)
    results = draw_many(drawer(RANDAUG, randaug_magnitude=5.0), 30)
    kinds = [
        "solarized" if np.array_equal(image, solarized) else np.array_equal(image, bright)
        for image, _, _ in results
    ]
    assert set(kinds) == {"solarized", True}
    twice = draw_many(drawer(RANDAUG, randaug_magnitude=5.0, randaug_num_layers=2), 30)
    share = np.mean([np.array_equal(image, original) for image, _, _ in twice])
    assert share < 0.5  # a quarter: brightness both times
