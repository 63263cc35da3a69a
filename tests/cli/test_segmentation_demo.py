"""segmentation_demo.py: EdgeNets' flags, the weights that it finds, and what it says."""

import functools

import numpy as np
import pytest
from absl import flags
from PIL import Image

from efficientvision.cli import inspect, run_main
from efficientvision.cli.compat.demos import SEGMENTATION, edgenets_spelling
from efficientvision.tasks.segmentation.predictor import Segmenter
from tests.conftest import REPOSITORY
from tests.filled_detector import textured_photo
from tests.filled_segmenter import segmenter_run
from tests.small_networks import PIXEL_NAMES
from tests.small_networks import small_networks_instead as small_networks_instead


def demo(*words):
    """Runs the program; returns its exit code."""
    values = flags.FlagValues()
    SEGMENTATION.define_flags(values)
    program = functools.partial(SEGMENTATION.main, flag_values=values)
    argv = ["segmentation_demo.py", *map(str, words)]
    with pytest.raises(SystemExit) as ended:
        run_main(program, argv, flag_values=values, translate=edgenets_spelling)
    return ended.value.code


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """What model_inspect.py is told, in an empty folder; nothing is run."""
    monkeypatch.chdir(tmp_path)
    told = []

    monkeypatch.setattr(inspect, "main", lambda argv, values: told.append(values))
    return told


def test_the_originals_words():
    words = "d.py --model espnetv2 --s 2.0 --im-size 384 384 --data-path=a-b --live --savedir x"
    assert edgenets_spelling(words.split()) == [
        "d.py", "--model=espnetv2", "--s=2.0", "--im_size=384x384", "--data_path=a-b", "--live",
        "--savedir=x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("present", "words", "chosen"),
    [
        (["espnetv2_s_2.0_pascal_384x384"], "", "espnetv2_s_2.0_pascal_384x384"),
        (
            ["dicenet_s_0.5_city_512x256", "espnetv2_s_2.0_pascal_384x384"],
            "--model dicenet --s 0.5 --dataset city",
            "dicenet_s_0.5_city_512x256",
        ),
        (
            ["espnetv2_s_1.0_city_512x256", "espnetv2_s_1.0_city_1024x512"],
            "--s 1.0 --dataset city --im-size 512 256",
            "espnetv2_s_1.0_city_512x256",
        ),
    ],
)
@pytest.mark.parametrize("zoo", [False, True])
def test_published_files_are_found(commands, tmp_path, present, words, chosen, zoo):
    for name in present:
        folder = (
            tmp_path / f"model/segmentation/model_zoo/{name.split('_')[0]}" if zoo else tmp_path
        )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.pth").touch()
    assert demo(*words.split(), "--data-path", "photos", "--savedir", "out") == 0
    (told,) = commands
    assert told.ckpt_path.endswith(f"{chosen}.pth") and told.ckpt_path.startswith("model") == zoo
    assert (told.runmode, told.input_image_size) == ("infer", "photo")
    assert (told.input_image, told.output_image_dir) == ("photos", "out")


def test_without_weights_it_says_so_and_how_to_fetch_them(commands, capsys):
    assert demo("--model", "dicenet", "--s", "1.0", "--dataset", "city") == 0
    printed = capsys.readouterr().out
    assert "a small demo network that only knows synthetic shapes" in printed
    assert "dataset/download_edgenets.sh dicenet_s_1.0_city_1024x512\n" in printed
    (told,) = commands
    assert told.ckpt_path == str(SEGMENTATION.shipped_weights) and told.model_name is None
    assert told.input_image == str(REPOSITORY / "testdata" / "img1.jpg")


def test_live_is_a_video_of_the_camera(commands, capsys):
    assert demo("--live", "--savedir", "out") == 0
    assert "--savedir has no effect" in capsys.readouterr().out
    (told,) = commands
    assert (told.runmode, told.input_video, told.saved_model_dir) == ("saved_model_video", "0", "")


@pytest.mark.usefixtures("small_networks_instead")
def test_a_run_of_ones_own(tmp_path, capsys):
    weights = "segmenter"
    Image.fromarray(textured_photo(100, 70)).save(tmp_path / "photo.png")
    out = tmp_path / "out"
    assert (
        demo(
            "--weights-test",
            weights,
            "--data-path",
            tmp_path / "photo.png",
            "--savedir",
            out,
            "--im-size",
            "384",
            "384",
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert "Flag --im-size has no effect" in printed
    assert (
        f"python model_inspect.py --runmode=infer --task=segmentation --ckpt_path={weights}"
        in printed
    )
    assert any(name in printed.splitlines()[-1] for name in PIXEL_NAMES.values())
    assert Image.open(out / "0.jpg").height >= 100


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize(
    ("part", "options"),
    [
        # Of the network's own size: it sees the pixels of the photo as they are.
        pytest.param((slice(200, 392), slice(40, 232)), {}, id="part"),
        pytest.param((), {"at_photo_size": True}, id="whole"),
    ],
)
def test_the_shipped_network_tells_shapes_apart(part, options):
    """The shapes of the shipped picture, a scene of `demo/make_shapes.py`."""
    from demo.make_shapes import make_scene

    total = sum(file.stat().st_size for file in SEGMENTATION.shipped_weights.iterdir())
    assert total < 1e6
    scene = make_scene(np.random.default_rng([2026, 66]), (480, 640))
    segmenter = Segmenter.from_checkpoint(SEGMENTATION.shipped_weights, **options)
    number = {name: index for index, name in segmenter.class_names.items()}
    truth = np.array([0, *(number[name] for name in scene.classes)])[scene.owner + 1][part]
    photo = np.asarray(Image.open(REPOSITORY / "testdata" / "img1.jpg"))
    found = segmenter.predict(photo[part])
    assert (found == truth).mean() > 0.97
    classes = np.unique(truth)
    assert len(classes) > 2
    for index in classes[1:]:
        said, true = found == index, truth == index
        assert (said & true).sum() > 0.5 * (said | true).sum()


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ("--model shufflenetv2", 2, "espnetv2|dicenet"),
        ("--s 0.7", 1, "--model espnetv2 has no width --s 0.7; available: 0.5, 1.0"),
        ("--channels 1", 1, "photos have 3 channels"),
        ("--weights 3", 2, "Unknown flag --weights"),
        ("--weights-test {run} --dataset city", 1, "--dataset city has 20 classes, but"),
        ("--weights-test {run} --data-path nowhere", 1, "nowhere"),
        ("--weights-test nowhere.pth --data-path {png}", 1, "nowhere.pth"),
    ],
)
def test_bad_input_gets_one_sentence(tmp_path, capsys, words, code, complaint):
    Image.fromarray(textured_photo(40, 40)).save(tmp_path / "photo.png")
    run = segmenter_run() if "{run}" in words else None
    words = words.format(run=run, png=tmp_path / "photo.png").split()
    assert demo(*words, "--savedir", tmp_path / "out") == code
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and complaint in error
    assert not (tmp_path / "out").exists()
