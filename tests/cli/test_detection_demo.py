"""detection_demo.py: EdgeNets' flags, the weights that it finds, and what it says."""

import functools

import numpy as np
import pytest
from absl import flags
from PIL import Image

from efficientvision.cli import inspect, run_main
from efficientvision.cli.compat.demos import DETECTION, edgenets_spelling
from efficientvision.data import boxes
from efficientvision.tasks.detection.predictor import Detector
from tests.conftest import REPOSITORY
from tests.filled_detector import textured_photo
from tests.filled_segmenter import weights_of
from tests.filled_ssd import filled_ssd
from tests.weights.made_torch_files import write_zip


def demo(*words):
    """Runs the program; returns its exit code."""
    values = flags.FlagValues()
    DETECTION.define_flags(values)
    program = functools.partial(DETECTION.main, flag_values=values)
    argv = ["detection_demo.py", *map(str, words)]
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


@pytest.mark.parametrize(
    ("words", "chosen", "size"),
    [
        ("", "espnetv2_s_2.0_coco_512x512", "512"),
        ("--dataset pascal --im-size 300", "espnetv2_s_2.0_pascal_300x300", "300"),
    ],
)
@pytest.mark.parametrize("zoo", [False, True])
def test_published_files_are_found(commands, tmp_path, words, chosen, size, zoo):
    folder = tmp_path / "model/detection/model_zoo/espnetv2" if zoo else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{chosen}.pth").touch()
    assert demo(*words.split(), "--im-dir", "photos", "--conf-threshold", "0.5") == 0
    (told,) = commands
    assert told.ckpt_path.endswith(f"{chosen}.pth") and told.ckpt_path.startswith("model") == zoo
    assert (told.runmode, told.task, told.input_image_size) == ("infer", "detection", size)
    assert (told.model_name, told.min_score_thresh) == ("espnetv2_s_2.0", "0.5")
    assert (told.input_image, told.output_image_dir) == ("photos", "vis_detect")


def test_a_camera_is_watched(commands):
    assert demo("--live", "--stream", "clip.mp4", "--weights-test", "runs/x") == 0
    (told,) = commands
    assert (told.runmode, told.input_video) == ("saved_model_video", "clip.mp4")
    # The run knows its model and its size.
    assert (told.ckpt_path, told.model_name, told.input_image_size) == ("runs/x", None, None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--s 3", "has no width --s 3.0; available: 0.5, 1.0"),
    ],
)
def test_what_is_missing_is_said(commands, capsys, words, says):
    assert demo(*words.split()) == 1
    assert says in capsys.readouterr().err and not commands


@pytest.mark.parametrize("photos_there", [False, True])
def test_without_weights_it_says_so_and_how_to_fetch_them(commands, capsys, tmp_path, photos_there):
    if photos_there:
        (tmp_path / "sample_images").mkdir()
    assert demo("--dataset", "pascal", "--im-size", "300") == 0
    printed = capsys.readouterr().out
    assert "a small demo network that only knows synthetic shapes" in printed
    assert "dataset/download_edgenets.sh espnetv2_s_2.0_pascal_300x300\n" in printed
    (told,) = commands
    # Our network says its own name and size.
    assert (told.ckpt_path, told.model_name) == (str(DETECTION.shipped_weights), None)
    assert told.input_image_size is None
    own = str(REPOSITORY / "testdata" / "img1.jpg")
    assert told.input_image == ("./sample_images" if photos_there else own)


@pytest.mark.published_depth
@pytest.mark.slow
def test_the_shipped_network_finds_the_shapes_of_its_photo():
    from demo.make_shapes import make_scene

    total = sum(file.stat().st_size for file in DETECTION.shipped_weights.iterdir())
    assert total < 3e6
    scene = make_scene(np.random.default_rng([2026, 66]), (480, 640))
    detector = Detector.from_checkpoint(DETECTION.shipped_weights, min_score_thresh=0.3)
    found = detector(str(REPOSITORY / "testdata" / "img1.jpg"))
    overlaps = boxes.iou(scene.boxes_yxyx[:, None], found.boxes_yxyx[None], xp=np)
    same = np.array(scene.classes)[:, None] == np.array(found.names)[None]
    assert ((overlaps > 0.5) & same).any(axis=1).mean() > 0.8
    assert len(found) <= len(scene.classes) + 2


def test_flags_without_effect_are_named(commands, capsys):
    demo("--weights-test", "runs/x", "--dataset", "pascal", "--stream", "0")
    said = capsys.readouterr().out
    assert "--dataset has no effect" in said and "--stream has no effect" in said


@pytest.mark.slow
def test_boxes_are_drawn(tmp_path, monkeypatch, capsys):
    """From a PyTorch file, which does not say its size: its name does."""
    monkeypatch.chdir(tmp_path)
    model = filled_ssd("espnetv2_s_0.5", num_classes=21, image_size=96)
    layouts = {4: (3, 2, 0, 1), 2: (1, 0)}
    arrays = {
        name: value.transpose(layouts.get(value.ndim, range(value.ndim)))
        for name, value in weights_of(model).items()
    }
    write_zip(tmp_path / "espnetv2_s_0.5_pascal_96x96.pth", arrays)
    Image.fromarray(textured_photo(90, 120)).save(tmp_path / "a.png")
    assert demo("--weights-test", "espnetv2_s_0.5_pascal_96x96.pth", "--im-dir", "a.png") == 0
    said = capsys.readouterr().out
    assert "image_size=96x96 (from the file name)" in said
    with Image.open(tmp_path / "vis_detect/0.jpg") as picture:
        assert picture.size == (120, 90)
