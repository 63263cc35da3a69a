"""Segmentation networks against the published sizes and counts, and a computation of its own."""

import json
import pathlib

import keras
import numpy as np
import pytest

from efficientvision.api import build_model, load_weights
from efficientvision.exports.flops import count_convolution_multiply_adds
from efficientvision.tasks.segmentation.network import build_segmenter
from efficientvision.weights.identify import identify
from tests.filled_segmenter import filled_segmenter, noise, weights_of
from tests.models import plain_decoder

GOLDEN = pathlib.Path(__file__).parents[2] / "goldens" / "edgenets" / "segmentation.json"
PUBLISHED = json.loads(GOLDEN.read_text())
# Of the others there are files, counted to the unit.
ONLY_IN_TABLES = [
    row
    for row in PUBLISHED["published_tables"]
    if row["model"] not in {file["model"] for file in PUBLISHED["published_files"]}
]
TABLE_ROWS = list({row["model"]: row for row in ONLY_IN_TABLES}.values())
HW = (64, 96)
ESP_LAYERS = [("bu_dec_l1",)] + [
    (f"bu_dec_l{i}", f"merge_enc_dec_l{i}", f"bu_br_l{i}") for i in (2, 3, 4)
]
DICE_LAYERS = [("eff_pool_16x16",)] + [
    (f"eff_pool_{side}", f"proj_enc_{side}", f"bu_br_{side}")
    for side in ("32x32", "64x64", "128x128")
]


def parameters(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_weights)


def row_id(row):
    return " ".join(str(row[key]) for key in ("model", "classes", "size"))


def built(row):
    return build_model(
        row["model"], task="segmentation", num_classes=row["classes"], image_size=row["size"]
    )


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize("row", PUBLISHED["published_files"], ids=row_id)
def test_counts_of_published_files(row):
    """Counted by the original's own program: equal to the unit."""
    model = built(row)
    assert len(model.weights) == row["weights"]
    assert parameters(model) == row["parameters"]
    count = count_convolution_multiply_adds(model, model.input_shape[1:3])
    assert count == row["multiply_adds"]


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize("row", TABLE_ROWS, ids=row_id)
def test_counts_of_published_tables(row):
    model = built(row)
    assert parameters(model) / 1e6 == pytest.approx(row["mega_parameters"], abs=0.005)
    count = count_convolution_multiply_adds(model, model.input_shape[1:3]) / 1e6
    assert count == pytest.approx(row["mega_multiply_adds"], rel=1e-3)


@pytest.mark.parametrize(
    "name, classes, layers, hw",
    [
        ("espnetv2_s_0.5", 21, ESP_LAYERS, HW),
        ("dicenet_s_0.2", 7, DICE_LAYERS, HW),
        ("shufflenetv2_s_0.1", 5, ESP_LAYERS, (50, 71)),
    ],
)
def test_decoder_equals_a_plain_computation(name, classes, layers, hw):
    """Over the encoder's own maps; at 50 x 71 no map is twice as large as the next."""
    model = filled_segmenter(name, num_classes=classes, image_size=hw)
    images = noise(hw)
    levels = model.get_layer("base_net").output
    assert len(levels) == 4
    encoder = keras.Model(model.input, levels[::-1])
    features = [np.asarray(x)[0].astype("float64") for x in encoder(images)]
    expected = plain_decoder.decode(features, weights_of(model), layers, hw)
    result = np.asarray(model(images))[0]
    assert result.shape == (*hw, classes)
    assert np.abs(result - expected).max() < 1e-4 * np.abs(expected).max()


def test_auxiliary_output(tmp_path):
    options = {"num_classes": 4, "image_size": HW}
    model = filled_segmenter("shufflenetv2_s_0.1", auxiliary=True, **options)
    images = noise(HW, batch=2)
    outputs = model(images)
    assert sorted(outputs) == ["auxiliary", "logits"]
    weights = weights_of(model)
    # From the decoder's map of stride 8.
    pyramid = keras.Model(model.input, model.get_layer("bu_dec_l2").output)
    x = np.asarray(pyramid(images))[1].astype("float64")
    assert x.shape[:2] == (HW[0] // 8, HW[1] // 8)
    x = plain_decoder.convolve(x, weights["auxiliary.weight"]) + weights["auxiliary.bias"]
    expected = plain_decoder.bilinear(x, HW)
    np.testing.assert_allclose(np.asarray(outputs["auxiliary"])[1], expected, rtol=0, atol=1e-4)

    # What was trained with it runs without it, and the other way round.
    model.save_weights(tmp_path / "with.weights.h5")
    without = build_model("shufflenetv2_s_0.1", task="segmentation", **options)
    report = load_weights(without, tmp_path / "with.weights.h5", verbose=False)
    assert not report.missing and report.unused == ["auxiliary.weight", "auxiliary.bias"]
    np.testing.assert_array_equal(np.asarray(without(images)), np.asarray(outputs["logits"]))
    without.save_weights(tmp_path / "without.weights.h5")
    report = load_weights(model, tmp_path / "without.weights.h5", verbose=False)
    assert report.missing == ["auxiliary.weight", "auxiliary.bias"] and not report.unused


def test_efficientnet_takes_the_same_decoder(tmp_path):
    from efficientvision.tasks.classification.network import build_classifier

    classifier = build_classifier("efficientnet-b0", image_hw=HW, num_classes=3)
    classifier.save_weights(tmp_path / "b0.weights.h5")
    model = build_model(
        "efficientnet-b0", task="segmentation", num_classes=5, image_size=HW, act_type="relu6"
    )
    assert model.output_shape == (None, *HW, 5)
    report = load_weights(model, tmp_path / "b0.weights.h5", verbose=False)
    # Seven blocks, one a stage, of which the last two make level 5.
    blocks = {name.split("/")[1] for name in report.loaded if "/blocks_" in name}
    assert blocks == {f"blocks_{index}" for index in range(5)}
    assert {name.partition(".")[0] for name in report.missing} == {
        layer for level in ESP_LAYERS for layer in level
    }
    assert report.backbone_match == 1
    model.save_weights(tmp_path / "segmenter.weights.h5")
    report = load_weights(model, tmp_path / "segmenter.weights.h5", verbose=False)
    assert len(report.loaded) == len(model.weights) and not report.unused
    found = identify(tmp_path / "segmenter.weights.h5")
    assert (found.model, found.task, found.num_classes) == ("efficientnet-b0", "segmentation", 5)
    assert found.decoder == {"decoder_width": 16, "pyramid_width": 2, "auxiliary": False}


def test_widths_follow_the_published_rule():
    def widths(**options):
        model = build_segmenter("shufflenetv2_s_0.1", image_hw=HW, **options)
        shapes = {name: value.shape for name, value in weights_of(model).items()}
        return [
            shapes["bu_dec_l1.stages.0.weight"][-1],
            *(shapes[f"bu_dec_l{i}.merge_layer.3.weight"][-1] for i in (1, 2, 3, 4)),
        ]

    # Half the classes, at most 16; the maps' channels are 4, 3 and 2 times 16.
    assert widths(num_classes=11) == [5, 64, 48, 32, 11]
    assert widths(num_classes=81, decoder_width=32) == [32, 128, 96, 64, 81]
    assert widths(num_classes=1, pyramid_width=10) == [10, 64, 48, 32, 1]
    with pytest.raises(ValueError, match="1 or more"):
        widths(num_classes=0)
