"""The published segmentation files against outputs of the original code on noise and photos."""

import functools
import gzip
import hashlib
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from efficientvision.api import build_model, load_weights
from efficientvision.errors import UserError
from efficientvision.weights.identify import identify
from tests.filled_segmenter import filled_segmenter, weights_of
from tests.weights.conftest import shallow
from tests.weights.made_torch_files import write_zip

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "edgenets"
PUBLISHED = json.loads((GOLDENS / "segmentation.json").read_text())["published_files"]
HW = (64, 96)
# The rest differ in widths and sizes.
FAST = {
    ("espnetv2_s_0.5_pascal_256x256.pth", "random"),
    ("dicenet_s_0.5_city_512x256.pth", "sample8"),
}
CASES = [
    pytest.param(
        row,
        case,
        id=f"{row['file']} {case}",
        marks=[] if (row["file"], case) in FAST else pytest.mark.slow,
    )
    for row in PUBLISHED
    for case in ("random", "sample1", "sample2", "sample5", "sample8")
]


@functools.lru_cache(maxsize=2)
def network(name, num_classes, hw):
    """Whatever weights the last test left; two of them stay for the next."""
    return build_model(name, task="segmentation", num_classes=num_classes, image_size=hw)


@pytest.fixture(scope="module")
def published(shared_dir):
    """The folders of published weights, of outputs of the original code, and of photos."""
    folders = (
        shared_dir / "weights" / "edgenets",
        shared_dir / "reference" / "edgenets" / "segmentation",
        shared_dir / "data" / "photos",
    )
    for folder in folders:
        if not folder.is_dir():
            pytest.skip(f"needs {folder}")
    return folders


def noise(size_wh):
    """The reference's input: channels first, as the generator filled them."""
    rng = np.random.Generator(np.random.PCG64(0))
    images = rng.uniform(-1, 1, (1, 3, size_wh[1], size_wh[0])).astype("float32")
    return images.transpose(0, 2, 3, 1)


def photo(path, checksum):
    """As the original's demonstration prepares it: multiples of 32, ImageNet's mean and std."""
    image = Image.open(path).convert("RGB")
    width, height = (side // 32 * 32 for side in image.size)
    image = np.asarray(image.resize((width, height), Image.BILINEAR))
    assert hashlib.sha256(image.tobytes()).hexdigest() == checksum, "another Pillow resizes here"
    values = image.astype("float32") / np.float32(255)
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    return ((values - mean) / std)[None]


@pytest.mark.parametrize("row, case", CASES)
def test_outputs_of_published_files(published, row, case):
    weights, reference, photos = published
    stem = row["file"].removesuffix(".pth")
    golden = json.loads((reference / f"{stem}.json").read_text())
    arrays = np.load(reference / f"{stem}.npz")
    if case == "random":
        images, expected = noise(golden["im_size_WxH"]), golden["random"]
    else:
        checksums = json.loads((reference / "photos.json").read_text())["photos"]
        images = photo(photos / f"{case}.jpg", checksums[case]["resized_rgb_u8_sha256"])
        expected = golden["photos"][case]
    model = network(row["model"], row["classes"], images.shape[1:3])
    report = load_weights(model, weights / row["file"], verbose=False)
    assert len(report.loaded) == len(model.weights) == row["weights"]
    assert not report.missing and not report.unused and not report.skipped

    logits = np.asarray(model(images))[0]
    classes = logits.argmax(-1).astype("uint8")
    # The whole map by its histogram, and where it is by every eighth pixel of both axes.
    counts = np.bincount(classes.ravel(), minlength=row["classes"])
    assert np.abs(counts - expected["hist"]).sum() / 2 <= 1e-3 * classes.size
    every = arrays[f"{case}:argmax_8"]
    assert (classes[::8, ::8] != every).mean() <= 1e-3
    for step in (16, 32):
        if f"{case}:logits_{step}" in arrays:
            sliced = arrays[f"{case}:logits_{step}"].transpose(1, 2, 0)
            assert np.abs(logits[::step, ::step] - sliced).max() < 1e-4 * np.abs(sliced).max()
    first = np.float32(expected["logits"]["first8"])
    np.testing.assert_allclose(logits[0, :8, 0], first, atol=1e-4 * np.abs(logits).max())


@pytest.mark.parametrize(
    "name, classes, hw",  # Of the fast cases above.
    [("espnetv2_s_0.5", 21, (256, 256)), ("dicenet_s_0.5", 20, (160, 256))],
)
def test_every_weight_has_its_published_name(tmp_path, name, classes, hw):
    """Of the names and shapes in the published files; needs none of them."""
    shapes = json.loads(gzip.decompress((GOLDENS / "state_dicts.json.gz").read_bytes()))
    rng = np.random.default_rng(5)
    arrays = {
        key: rng.standard_normal(shape).astype("float32") if shape else np.int64(9)
        for key, shape in shapes[f"{name} segmentation"].items()
    }
    write_zip(tmp_path / "net.pth", arrays)
    model = network(name, classes, hw)
    for variable in model.weights:
        variable.assign(np.zeros(variable.shape))
    report = load_weights(model, tmp_path / "net.pth", verbose=False)
    assert set(report.counts()) == {"backbone", "decoder"}
    assert not report.missing and not report.unused and not report.skipped
    weights = weights_of(model)
    assert set(weights) == {key for key, array in arrays.items() if array.shape}
    for key, value in weights.items():
        axes = (2, 3, 1, 0) if value.ndim == 4 else None
        np.testing.assert_array_equal(value, arrays[key].transpose(axes), err_msg=key)


def test_other_classes_keep_their_last_layer(tmp_path):
    """With the file's pyramid width; by the published rule other classes have another one."""
    with shallow():
        model, narrow = (
            filled_segmenter("shufflenetv2_s_0.1", image_size=HW, num_classes=11, **options)
            for options in ({"pyramid_width": 10}, {})
        )
    before = weights_of(model)
    last = {"bu_dec_l4.merge_layer.3.weight", "bu_dec_l4.merge_layer.3.bias"}
    # Of twenty classes, published names and another framework's layout.
    rng = np.random.default_rng(1)
    theirs = {
        name: rng.standard_normal((*v.shape[:-1], 20) if name in last else v.shape)
        for name, v in before.items()
    }
    files = {
        n: np.float32(v.transpose(3, 2, 0, 1) if v.ndim == 4 else v) for n, v in theirs.items()
    }
    write_zip(tmp_path / "city.pth", files)
    report = load_weights(model, tmp_path / "city.pth", verbose=False)
    assert set(report.skipped) == last and not report.missing
    for name, value in weights_of(model).items():
        expected = before[name] if name in last else np.float32(theirs[name])
        np.testing.assert_array_equal(value, expected, err_msg=name)
    with pytest.raises(UserError, match="pyramid_width: checkpoint 10, model 5"):
        load_weights(narrow, tmp_path / "city.pth", verbose=False)


@pytest.mark.parametrize(
    "name, options, decoder",
    [
        ("dicenet_s_0.2", {"num_classes": 2}, (16, 1, False)),
        ("espnetv2_s_0.5", {"num_classes": 81, "decoder_width": 32}, (32, 32, False)),
        ("shufflenetv2_s_0.1", {"num_classes": 4, "auxiliary": True}, (16, 2, True)),
    ],
)
def test_a_network_tells_its_decoder(name, options, decoder):
    with shallow():
        model = build_model(name, task="segmentation", image_size=HW, **options)
    found = identify({key: value.shape for key, value in weights_of(model).items()})
    assert (found.model, found.task) == (name, "segmentation")
    assert found.num_classes == options["num_classes"]
    assert tuple(found.decoder.values()) == decoder
