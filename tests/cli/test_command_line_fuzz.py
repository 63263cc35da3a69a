"""Command lines of any words, for all the programs: an answer, or one sentence.

Nothing long is begun: whatever gets as far as building a network ends there with a sentence.
"""

import functools
import json
import random
import re
import resource
import traceback

import keras
import pytest
from absl import flags
from PIL import Image

from efficientvision.cli import inspect as inspect_program
from efficientvision.cli import run_main, supervise, train
from efficientvision.cli.compat import demos, edgenets
from efficientvision.cli.flags import define_inspect_flags, define_train_flags
from efficientvision.errors import UserError
from efficientvision.runs import evaluate
from efficientvision.tasks.classification import task as classification
from efficientvision.tasks.detection import task as detection
from efficientvision.tasks.segmentation import task as segmentation
from tests.example_records import example, write_examples
from tests.programs import REPOSITORY, _captured, dataset_program

# Flags that wait, reach for other machines or cameras, or end what is not this test's.
_NOT_TRIED = (
    *("tpu", "use_tpu", "tpu_zone", "gcp_project", "tpu_name", "data_service", "eval_timeout"),
    *("live_port", "input_video", "restarts", "join_timeout", "delete_logdir", "cpu_replicas"),
    *("only_check_args", "flagfile", "undefok", "helpfull", "help", "helpshort", "helpxml"),
    *("stream", "live", "profile", "num_cores", "heartbeat_port", "strategy", "use_xla", "threads"),
)
_VALUES = (
    *("", "-1", "0", "1", "2", "1e999", "nan", "-inf", "9" * 30, "true", "false", "None", "null"),
    *("[", "]", "{", "a,b", ",", "=", "a=b", "num_classes=1e999", "heads=[[1]]", "image_size=0"),
    *("missing", "missing/*", "a[b", "photo.png", "notes.txt", "broken.json", "empty", "list.json"),
    *("set", "set*", "h.yaml", "bad.yaml", "ä🙂", "x" * 300, "a\tb", "0x1", "512x512", "-5x-5"),
    *("efficientdet-d0", "efficientnet-b0", "espnetv2_s_2.0", "espnetv2_s_9.0", "coco", "voc"),
    *("detection", "classification", "segmentation", "train", "eval", "infer", "saved_model"),
    *("photo.png/below", "photos", "masks", "nothing.h5", "nothing.pth", "nothing.npz", "model"),
)


class _Stopped(UserError):
    """Where a network would be built, a process started or a file waited for."""


def _stop(*_, **__):
    raise _Stopped("stopped here")


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with small files of every kind, good ones and bad ones."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.png", "photos/b.png", "masks/a.png", "masks/b.png", "photo.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        mode = "L" if name.startswith("masks") else "RGB"
        picture = Image.new(mode, (8, 8))
        picture.paste(1, (0, 0, 4, 4))
        picture.save(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "model").mkdir()
    write_examples(tmp_path, [example(0), example(1)], name="set")
    boxes = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "area": 16}]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
        "annotations": boxes,
        "categories": [{"id": 1, "name": "cat"}],
    }
    for name, text in (
        ("list.json", json.dumps(content)),
        ("broken.json", '{"images": [1'),
        ("notes.txt", "a.png 1\nb.png\n"),
        ("boxes.csv", "photos/a.png,1,1,4,4,cat\nphotos/b.png,,,,,\n"),
        ("photos/a.txt", "0 0.5 0.5 0.5 0.5\n"),
        ("photos/b.txt", ""),
        ("h.yaml", "num_classes: 3\n"),
        ("bad.yaml", "num_classes: [[\n"),
        ("nothing.h5", "not HDF5"),
        ("nothing.pth", "not PyTorch"),
        ("nothing.npz", "not numpy"),
        ("model/saved_model.pb", "no graph"),
        ("model/config.yaml", "num_classes: .inf\n"),
    ):
        (tmp_path / name).write_text(text)
    for tasks in (classification, detection, segmentation):
        for name in ("build_classifier", "build_efficientdet", "build_ssd", "build_segmenter"):
            monkeypatch.setattr(tasks, name, _stop, raising=False)
    monkeypatch.setattr(detection, "build_configured_ssd", _stop)
    monkeypatch.setattr(segmentation, "build_segmentation", _stop)
    monkeypatch.setattr(evaluate, "wait_for_checkpoint", _stop)
    monkeypatch.setattr(supervise, "supervise", _stop)
    yield tmp_path
    keras.config.set_dtype_policy("float32")


def _program(define, main, name, translate=list):
    """A program of the repository's root, as a function of its arguments."""

    def run(arguments):
        values = flags.FlagValues()
        define(values)
        program = functools.partial(main, flag_values=values)
        call = functools.partial(
            run_main, program, [name, *arguments], flag_values=values, translate=translate
        )
        return _captured(call), values

    return run


def _dataset(script):
    def run(arguments):
        return dataset_program(script, *arguments, folder="."), None

    return run


PROGRAMS = {
    "main.py": (
        _program(define_train_flags, train.main, "main.py", edgenets.translate),
        [
            "--mode=train --train_file_pattern=set* --model_dir=run --model_name=efficientdet-d0",
            "--mode=eval --val_file_pattern=set* --model_dir=model --hparams=num_classes=3",
            "--mode=train_and_eval --train_file_pattern=set* --val_file_pattern=set* "
            "--model_dir=run --train_batch_size=1 --num_epochs=1 --hparams=h.yaml",
            "--mode=report --model_dir=model",
            "--task=segmentation --model_name=espnetv2_s_2.0 --train_file_pattern=set* "
            "--model_dir=run --preflight=only",
        ],
    ),
    "model_inspect.py": (
        _program(define_inspect_flags, inspect_program.main, "model_inspect.py"),
        [
            "--runmode=infer --ckpt_path=nothing.h5 --input_image=photos --output_image_dir=out",
            "--runmode=saved_model_infer --saved_model_dir=model --input_image=photo.png "
            "--output_image_dir=out",
            "--runmode=export --model_name=efficientdet-d0 --format=onnx --saved_model_dir=new",
            "--runmode=bm --model_name=efficientnet-b0 --bm_runs=1 --batch_size=1",
            "--runmode=dry --model_name=espnetv2_s_2.0 --logdir=log --hparams=image_size=64",
            "--runmode=ckpt --ckpt_path=nothing.pth --export_ckpt=new",
        ],
    ),
    "detection_demo.py": (
        _program(
            demos.DETECTION.define_flags,
            demos.DETECTION.main,
            "detection_demo.py",
            demos.edgenets_spelling,
        ),
        ["--im-dir photos --save-dir out --model espnetv2 --s 2.0 --im-size 512 512"],
    ),
    "segmentation_demo.py": (
        _program(
            demos.SEGMENTATION.define_flags,
            demos.SEGMENTATION.main,
            "segmentation_demo.py",
            demos.edgenets_spelling,
        ),
        ["--img-dir photos --savedir out --model espnetv2 --s 2.0 --num-classes 21"],
    ),
    "create_coco_tfrecord.py": (
        _dataset("create_coco_tfrecord.py"),
        [
            "--image_dir=photos --object_annotations_file=list.json --output_file_prefix=out/a "
            "--num_shards=1 --num_threads=1",
        ],
    ),
    "create_pascal_tfrecord.py": (
        _dataset("create_pascal_tfrecord.py"),
        ["--data_dir=photos --output_path=out/a --num_shards=1 --num_threads=1"],
    ),
    "create_imagenet_tfrecord.py": (
        _dataset("create_imagenet_tfrecord.py"),
        ["--data_dir=. --output_dir=out --num_shards=1 --num_threads=1 --val_fraction=0.5"],
    ),
    "create_yolo_tfrecord.py": (
        _dataset("create_yolo_tfrecord.py"),
        ["--data_dir=photos --output_dir=out --num_shards=1 --num_threads=1"],
    ),
    "create_csv_tfrecord.py": (
        _dataset("create_csv_tfrecord.py"),
        ["--data_dir=boxes.csv --output_dir=out --num_shards=1 --num_threads=1 --background"],
    ),
    "create_segmentation_tfrecord.py": (
        _dataset("create_segmentation_tfrecord.py"),
        [
            "--images_dir=photos --masks_dir=masks --output_dir=out --num_threads=1 "
            "--val_fraction=0.5 --num_shards=1",
        ],
    ),
    "inspect_tfrecords.py": (
        _dataset("inspect_tfrecords.py"),
        ["--file_pattern=set* --samples=1 --save_samples_dir=out --hparams=num_classes=3"],
    ),
    "check_coco_results.py": (
        _dataset("check_coco_results.py"),
        ["--results_file=list.json --image_info_file=list.json"],
    ),
}


def mutated(line, names, chance):
    """A command line with words changed, added, left out, doubled or cut."""
    words = line.split()
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(words) + 1)
        kind = chance.randrange(6)
        name, value = chance.choice(names), chance.choice(_VALUES)
        if kind == 0:
            words.insert(at, f"--{name}={value}")
        elif kind == 1 and at < len(words):
            words[at] = f"{words[at].partition('=')[0]}={value}"
        elif kind == 2 and at < len(words):
            del words[at]
        elif kind == 3 and at < len(words):
            words[at] = words[at][: chance.randrange(len(words[at]) + 1)]
        elif kind == 4:
            words.insert(at, chance.choice((f"--{name}", f"--no{name}", value, f"-{name}", "--")))
        elif at < len(words):
            words.insert(at, words[at])
    tried = [
        w for w in words if w.lstrip("-").partition("=")[0].removeprefix("no") not in _NOT_TRIED
    ]
    return tried


def run_one(program, arguments):
    """Runs a command line; how it ended. A traceback fails the test with the line."""
    try:
        done, _ = program(arguments)
    except BaseException as error:
        raise AssertionError(
            f"{' '.join(map(repr, arguments))}\n{traceback.format_exc()}"
        ) from error
    assert done.code in (0, 1, 2), (arguments, done)
    if done.code:
        (line,) = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
        assert len(line) < 3000, arguments
    assert "Traceback" not in done.stderr, (arguments, done.stderr)
    return done.code


def flag_names(name):
    """Names of flags to try."""
    define = {
        "main.py": define_train_flags,
        "model_inspect.py": define_inspect_flags,
        "detection_demo.py": demos.DETECTION.define_flags,
        "segmentation_demo.py": demos.SEGMENTATION.define_flags,
    }.get(name)
    values = flags.FlagValues()
    if define is not None:
        define(values)
    known = list(values)
    if name not in ("main.py", "model_inspect.py", "detection_demo.py", "segmentation_demo.py"):
        text = (REPOSITORY / "dataset" / name).read_text(encoding="utf8")
        known = re.findall(r'DEFINE_\w+\(\s*"(\w+)"', text)
    return ["unknown", *(n for n in known if n not in _NOT_TRIED)]


def fuzz(name, seed, count):
    program, lines = PROGRAMS[name]
    names, chance = flag_names(name), random.Random(f"{name} {seed}")
    codes = [run_one(program, mutated(chance.choice(lines), names, chance)) for _ in range(count)]
    return {code: codes.count(code) for code in sorted(set(codes))}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_few_mutated_command_lines(workplace, name):
    assert sum(fuzz(name, 1, 5).values()) == 5


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_mutated_command_lines(workplace, name):
    """650 and more over all programs, in less than a minute together."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(fuzz(name, 2, 70).values()) == 70
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # 1 GiB.


@pytest.mark.parametrize(
    "name, line, says",
    [
        ("create_coco_tfrecord.py", "--num_threads=-1", "at least 1"),
        ("create_imagenet_tfrecord.py", "--num_threads=-1", "at least 1"),
        ("create_segmentation_tfrecord.py", "--num_threads=-1", "at least 1"),
        ("create_imagenet_tfrecord.py", "--output_dir=notes.txt", "notes.txt"),
        ("create_segmentation_tfrecord.py", "--output_dir=notes.txt", "notes.txt"),
        ("create_coco_tfrecord.py", "--output_file_prefix=notes.txt/a", "notes.txt"),
        ("inspect_tfrecords.py", "--save_samples_dir=notes.txt", "notes.txt"),
        ("model_inspect.py", "--runmode=infer --output_image_dir=notes.txt", "notes.txt"),
        ("main.py", "--hparams=num_classes=1e999", "num_classes must be"),
        ("main.py", "--hparams=bad.yaml", "not valid YAML"),
        ("main.py", "--model_dir=notes.txt", "notes.txt"),
    ],
)
def test_values_that_no_program_can_use(workplace, name, line, says):
    program, lines = PROGRAMS[name]
    done, _ = program([*lines[0].split(), *line.split()])
    assert done.code in (1, 2) and done.stderr.count("error: ") == 1
    assert says in done.stderr
