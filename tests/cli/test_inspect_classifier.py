"""model_inspect.py with classifiers: its runmodes, its table, and what it says to bad input."""

import json
import pathlib
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.cli.inspect_infer import write_pictures
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.data.class_records import ClassExample, encode_class_example
from efficientvision.errors import UserError
from efficientvision.exports.frozen_graph import graph_function, read_frozen_graph
from efficientvision.runs import evaluate
from efficientvision.tasks.classification.predictor import Classifier
from efficientvision.tasks.predictor import Predictor
from tests.filled_classifier import classifier_run, filled_classifier
from tests.filled_detector import textured_photo
from tests.programs import inspect, run_options
from tests.small_networks import CLASS_NAMES as NAMES
from tests.small_networks import CLASSIFIER as MODEL
from tests.small_networks import SIDE, exported, small_classifier
from tests.small_networks import small_networks_instead as small_networks_instead

NAME = f"--model_name={MODEL}"
SMALL = "--ckpt_path=classifier"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for index, hw in enumerate([(100, 140), (180, 90), (64, 64)]):
        Image.fromarray(textured_photo(*hw, seed=index)).save(folder / f"{index}.png")
    return folder


def expected_line(photo, loaded):
    found = Classifier.from_loaded(loaded).classify(photo)
    return f"{found[0].name} {found[0].probability:.1%}, {found[1].name}"


def assert_pictures(folder, photos):
    for index, photo in enumerate(sorted(photos.iterdir())):
        picture = np.asarray(Image.open(folder / f"{index}.jpg"))
        original = np.asarray(Image.open(photo))
        assert picture.shape[0] * picture.shape[1] > 1.5 * original.shape[0] * original.shape[1]


@pytest.mark.slow
def test_infer_from_a_run(photos, tmp_path, capsys):
    code = inspect(
        "--runmode=infer", f"--ckpt_path={classifier_run()}", f"--input_image={photos}/*.png",
        f"--output_image_dir={tmp_path}/out", "--nms_method=hard", "--batch_size=2",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert "--nms_method has no effect: the model is a classifier" in printed
    for photo in photos.iterdir():
        assert expected_line(photo, filled_classifier()) in printed
    assert_pictures(tmp_path / "out", photos)


def test_saved_model_infer(photos, tmp_path, capsys):
    code = inspect(
        "--runmode=saved_model_infer", f"--saved_model_dir={exported('classifier')}",
        f"--input_image={photos}", f"--output_image_dir={tmp_path}/out",
    )  # fmt: skip
    assert code == 0
    assert expected_line(photos / "0.png", small_classifier()) in capsys.readouterr().out
    assert_pictures(tmp_path / "out", photos)


def test_a_multi_label_export_tells_all_above_the_threshold(photos, tmp_path, capsys):
    photo = photos / "0.png"
    code = inspect(
        "--runmode=saved_model_infer", f"--saved_model_dir={exported('classifier_of_labels')}",
        f"--input_image={photo}", f"--output_image_dir={tmp_path}/out", "--min_score_thresh=0.3",
    )  # fmt: skip
    row = Classifier.from_loaded(small_classifier(True)).probabilities([photo])[0]
    assert code == 0 and 0 < (row >= 0.3).sum() < 6
    line = capsys.readouterr().out.splitlines()[-1]
    for index, probability in enumerate(row):
        assert (NAMES[index + 1] in line.split(".jpg: ")[1]) == (probability >= 0.3)


@pytest.mark.usefixtures("small_networks_instead")
def test_saved_model_and_benchmark(tmp_path, capsys):
    target = tmp_path / "export"
    code = inspect(
        "--runmode=saved_model", SMALL, f"--saved_model_dir={target}", "--batch_size=0",
    )  # fmt: skip
    assert code == 0
    metadata = json.loads((target / "metadata.json").read_text())
    assert metadata["class_names"] == {str(k): v for k, v in NAMES.items()}
    assert (metadata["batch_size"], metadata["image_hw"]) == (None, [SIDE, SIDE])
    trace = tmp_path / "trace.json"
    code = inspect(
        "--runmode=saved_model_benchmark", f"--saved_model_dir={target}", "--bm_runs=2",
        f"--trace_filename={trace}", "--batch_size=3",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0 and "FPS:" in printed and "batch 3" in printed
    assert json.loads(trace.read_text())["traceEvents"]


@pytest.mark.usefixtures("small_networks_instead")
def test_bm_and_freeze(tmp_path, capsys):
    assert inspect("--runmode=bm", SMALL, "--bm_runs=2") == 0
    assert "p90" in capsys.readouterr().out
    assert inspect("--runmode=freeze", SMALL, f"--logdir={tmp_path}") == 0
    graph = read_frozen_graph(tmp_path / f"{MODEL}_frozen.pb")
    images = np.random.default_rng(0).normal(size=(1, SIDE, SIDE, 3)).astype(np.float32)
    (logits,) = graph_function(graph, ["input:0"], ["logits:0"])(images)
    expected = small_classifier().model(images, training=False)
    np.testing.assert_allclose(logits, expected, atol=1e-3)


@pytest.mark.usefixtures("small_networks_instead")
def test_dry_counts_parts(tmp_path, capsys):
    assert inspect("--runmode=dry", SMALL, f"--logdir={tmp_path}") == 0
    printed = capsys.readouterr().out
    rows = {line[:20].strip(): line[20:].replace(",", "").split() for line in printed.splitlines()}
    parts = [np.array(rows[name], np.int64) for name in ("classifier head", "backbone")]
    assert np.array_equal(sum(parts), np.array(rows["whole network"], np.int64))
    head = [96 * 6 + 6, 96 * 6 + 6, 96 * 6 + 3]  # A bias is half a multiply-add.
    assert parts[0].tolist() == head
    assert parts[1][1] == small_classifier().model.count_params() - head[1]
    # Biases of Keras' own layers are sums beside the convolutions.
    by_hand = 32**2 * 16 * 75 + 16**2 * (16 * 9 + 96 * 16 * 9) + 8**2 * 96 * 96 * 9
    alone = float(printed.split("as EdgeNets count: ")[1].split("M")[0])
    assert alone == pytest.approx(by_hand / 1e6, abs=0.01)


@pytest.mark.slow
@pytest.mark.published_depth
def test_dry_counts_as_published(tmp_path, capsys):
    assert inspect("--runmode=dry", NAME, "--task=classification", f"--logdir={tmp_path}") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line[:20].strip(): line[20:].replace(",", "").split() for line in lines}
    parts = [np.array(rows[name], np.int64) for name in ("classifier head", "backbone")]
    assert np.array_equal(sum(parts), np.array(rows["whole network"], np.int64))
    # The paper's count, and the 1,025 weights of each of 1,000 classes.
    assert rows["whole network"][0] == "1241332"
    assert rows["classifier head"][0] == "1025000"


def write_records(path, photo_files, classes):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index, (photo, ids) in enumerate(zip(photo_files, classes, strict=True)):
            example = ClassExample(
                photo.read_bytes(), "png", photo.name, str(index + 1), 1, 1, ids,
                [NAMES[i] for i in ids],
            )  # fmt: skip
            writer.write(encode_class_example(example))


@pytest.mark.usefixtures("small_networks_instead")
def test_export_compares_and_measures(photos, tmp_path, capsys):
    pytest.importorskip("ai_edge_litert")
    names = sorted(photos.iterdir())
    classifier = Classifier.from_loaded(small_classifier())
    likeliest = [int(row.argmax()) + 1 for row in classifier.probabilities(names)]
    wrong = likeliest[0] % 6 + 1
    write_records(tmp_path / "val.tfrecord", names, [[wrong], [likeliest[1]], [likeliest[2]]])
    formats = "saved_model,frozen,litert"
    code = inspect(
        "--runmode=export", SMALL, f"--saved_model_dir={tmp_path}/out", f"--format={formats}",
        f"--input_image={photos}", "--bm_runs=1",
        f"--val_file_pattern={tmp_path}/val.tfrecord", "--nms=none",
    )  # fmt: skip
    assert code == 0
    printed = capsys.readouterr().out
    assert "--nms has no effect: the model is a classifier" in printed
    header, *lines = printed[printed.index("format ") :].splitlines()
    assert header.split() == "format file MB probability top-1 ms accuracy".split()
    table = {line.split()[0]: line.split() for line in lines}
    network = table.pop("network")
    assert list(table) == formats.split(",")
    for cells in table.values():
        assert float(cells[3]) < 1e-4
        assert cells[4:8] == "3 of 3 equal".split()
        assert cells[-2:] == [*network[1:], "ok"] == ["66.7", "ok"]

    export = f"--model_dir={tmp_path / 'out' / f'{MODEL}.tflite'}"
    evaluate.run(run_options("--mode=eval", export, f"--val_file_pattern={tmp_path}/val.tfrecord"))
    assert "top1   66.7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--runmode=saved_model_video", "--input_video={png}"], "is for detectors"),
        (
            ["--runmode=dry", "--model_name=efficientdet-d0", "--task=classification"],
            "efficientdet-d0",
        ),
        (["--runmode=dry", "--model_name=espnetv2_s_0.7"], "espnetv2_s_0.5"),
        (["--runmode=dry", NAME, "--hparams=anchor_scale=3"], "anchor_scale"),
        (["--runmode=infer", NAME, "--ckpt_path={tmp}/no", "--input_image={png}"], "/no"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, complaint, photos, tmp_path, capsys):
    arguments = [a.format(tmp=tmp_path, png=photos / "0.png") for a in arguments]
    if "video" in arguments[0]:
        video = pytest.importorskip("tests.video.made_video")
        pytest.importorskip("av")
        video.write_video(tmp_path / "v.mp4")
        arguments[1] = f"--input_video={tmp_path / 'v.mp4'}"
        arguments += [f"--saved_model_dir={exported('classifier')}"]
        arguments += [f"--output_video={tmp_path / 'out.mp4'}"]
    elif "infer" in arguments[0]:
        arguments.append(f"--output_image_dir={tmp_path / 'out'}")
    assert inspect(*arguments) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and complaint in error
    assert not (tmp_path / "out.mp4").exists()


class _Sizes(Predictor):
    """Tells the sizes of photos; like a network, it takes no empty batch."""

    def __init__(self, batch_size):
        self.metadata = types.SimpleNamespace(batch_size=batch_size)

    def __call__(self, photos, batch_size):
        assert photos and batch_size == self.metadata.batch_size
        return [photo.shape for photo in photos]

    def predict_photos(self, photos, batch_size):
        raise NotImplementedError

    def describe(self, result):
        return str(result)

    def draw(self, photo, result):
        return Image.fromarray(photo)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_photos_after_one_that_cannot_be_read_are_written(tmp_path, batch_size):
    paths = [str(tmp_path / f"{name}.png") for name in "abc"]
    for path in paths:
        Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(path)
    pathlib.Path(paths[1]).write_bytes(pathlib.Path(paths[1]).read_bytes()[:60])
    settings = InspectSettings(output_image_dir=str(tmp_path / "out"))
    with pytest.raises(UserError, match=r"1 of 3 photos could not be read: .*b\.png"):
        write_pictures(settings, _Sizes(batch_size), paths)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.jpg", "2.jpg"]
