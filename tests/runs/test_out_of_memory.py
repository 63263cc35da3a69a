"""The remedies when memory runs out: their order and their numbers, from flags to stderr."""

import sys
import types
from types import SimpleNamespace

import pytest
import tensorflow as tf
from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.flags import define_train_flags, options_of
from efficientvision.runs import evaluate, out_of_memory, train
from efficientvision.tasks.choice import get_config
from efficientvision.training.memory_errors import memory_errors
from tests.made_records import write_made_records

OOM = tf.errors.ResourceExhaustedError(
    None,
    None,
    "OOM when allocating tensor with shape[8,96,256,256] and type float on "
    "/job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu",
)


class FakeTrainer:
    """Runs out of memory, in training or in its evaluation."""

    state = types.SimpleNamespace(step=0)

    def __init__(self, evaluates=False):
        self.evaluates = evaluates

    def run(self, **_):
        if self.evaluates:
            self._evaluate()
        raise OOM

    @memory_errors("evaluation")
    def _evaluate(self):
        raise OOM


def answer(
    capfd, *arguments, hparams="", replicas=1, during="training", evaluates=False, folder="none"
):
    """What the program prints: the first line, and those below it."""
    config = get_config("efficientdet-d0", hparams)
    strategy = SimpleNamespace(
        num_replicas_in_sync=replicas,
        extended=SimpleNamespace(worker_devices=["a device"] * replicas),
    )
    values = flags.FlagValues()
    define_train_flags(values)

    def main(argv):
        with out_of_memory.answered(options_of(values), config, strategy, during):
            FakeTrainer(evaluates).run()

    with pytest.raises(SystemExit) as ended:
        run_main(main, ["main.py", f"--model_dir={folder}", *arguments], flag_values=values)
    assert ended.value.code == 1
    first, *lines = capfd.readouterr().err.splitlines()
    return first, lines


def test_training(capfd):
    first, lines = answer(capfd, "--train_batch_size=8")
    assert first.startswith(
        "error: Out of memory in training, with 8 images of 512x512 in float32 at a time "
        "(--train_batch_size=8). 192 MiB more were requested. Peak use of this process: "
    )
    assert [line.partition(":")[0].strip() for line in lines] == [
        "1. mixed_precision=true in --hparams",
        "2. gradient_accumulation=2 in --hparams",
        "3. grad_checkpoint=true in --hparams",
        "4. --train_batch_size=4",
        "5. image_size=384 in --hparams",
    ]
    assert (
        "splits the 8 images of a step into 2 micro-batches of 4, activations shrink to 50%"
        in lines[1]
    )
    # 0.08 is for batches of 64.
    assert "4 of 8 images at a time, activations shrink to 50%" in lines[3]
    assert "the learning rate is scaled from 0.01 to 0.005" in lines[3]
    assert "56% of the pixels" in lines[4]


def test_remedies_in_use_are_left_out(capfd):
    hparams = "mixed_precision=float16,grad_checkpoint=true,gradient_accumulation=3"
    first, lines = answer(
        capfd,
        "--train_batch_size=24",
        hparams=f"{hparams},learning_rate=0.002,scale_learning_rate=false,image_size=640x512",
        replicas=2,
    )
    assert "with 4 images of 640x512 in float16 at a time on each of 2 devices" in first
    assert [line.partition(":")[0].strip() for line in lines] == [
        "1. gradient_accumulation=4 in --hparams",
        "2. --train_batch_size=12",
        "3. image_size=512x384 in --hparams",
    ]
    assert (
        "splits the 12 images of a step into 4 micro-batches of 3, activations shrink to 75%"
        in lines[0]
    )
    assert "2 of 4 images at a time, activations shrink to 50%" in lines[1]
    assert "stays 0.002 (scale_learning_rate=false); consider 0.001" in lines[1]
    assert "60% of the pixels" in lines[2]


def test_a_batch_that_cannot_be_halved_is_cut_into_single_images(capfd):
    _, lines = answer(capfd, "--train_batch_size=3")
    assert (
        "2. gradient_accumulation=3 in --hparams: splits the 3 images of a step into 3 "
        "micro-batches of 1" in lines[1]
    )
    assert "--train_batch_size=1: 1 of 3 images at a time, activations shrink to 33%" in lines[3]


def test_nothing_is_left(capfd):
    hparams = "mixed_precision=true,grad_checkpoint=true,image_size=64"
    first, lines = answer(capfd, "--train_batch_size=2", hparams=hparams, replicas=2)
    assert "with 1 image of 64x64" in first
    assert first.endswith("Only a smaller network (--model_name) can help.")
    assert lines == []


def test_the_gpu_that_was_full(capfd, monkeypatch):
    full = tf.errors.ResourceExhaustedError(
        None,
        None,
        "OOM when allocating tensor with shape[4,32,256,256] and type half on "
        "/job:localhost/replica:0/task:0/device:GPU:1 by allocator GPU_1_bfc",
    )
    monkeypatch.setattr(sys.modules[__name__], "OOM", full)
    peaks = {"GPU:1": {"current": 0, "peak": 15 * 2**30}}
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", peaks.get)
    first, _ = answer(capfd, "--train_batch_size=4")
    assert "16 MiB more were requested. Peak use of GPU:1: 15.0 GiB." in first


def test_where_training_goes_on(capfd, tmp_path):
    (tmp_path / "ckpt-00000040.npz").touch()
    _, lines = answer(capfd, folder=tmp_path)
    assert lines[-1] == (
        f"Progress is saved in {tmp_path}: the same command with a remedy resumes from step 40."
    )


def test_evaluation_inside_a_training(capfd):
    first, lines = answer(
        capfd, "--mode=train_and_eval", "--eval_batch_size=16", replicas=2, evaluates=True
    )
    assert "Out of memory in evaluation, with 8 images" in first
    assert [line.partition(":")[0].strip() for line in lines] == [
        "1. --eval_batch_size=8",
        "2. --mode=train, then --mode=eval in a separate process",
        "3. mixed_precision=true in --hparams",
        "4. image_size=384 in --hparams",
    ]
    assert "4 of 8 images at a time" in lines[0]


def test_evaluation_alone(capfd):
    first, lines = answer(capfd, "--mode=eval", hparams="mixed_precision=true", during="evaluation")
    assert "with 1 image of 512x512 in bfloat16 at a time (--eval_batch_size=1)" in first
    assert [line.partition(":")[0] for line in lines] == ["  1. image_size=384 in --hparams"]


def run_program(capfd, main, *arguments):
    values = flags.FlagValues()
    define_train_flags(values)
    with pytest.raises(SystemExit) as ended:
        run_main(lambda argv: main(options_of(values)), ["main.py", *arguments], flag_values=values)
    assert ended.value.code == 1
    return capfd.readouterr().err


def test_main_answers_in_training(capfd, monkeypatch, tmp_path):
    trainer = FakeTrainer()
    trainer.plan, trainer.is_chief = SimpleNamespace(batch_size=8, total_steps=4), False
    monkeypatch.setattr(train.run_setup, "build_trainer", lambda *_: trainer)
    monkeypatch.setattr(train.first_weights, "initialize", lambda *_: None)
    records = write_made_records(tmp_path / "made.tfrecord", 4)
    text = run_program(
        capfd,
        lambda options: train.train(options, ""),
        "--model_name=efficientdet-d0",
        f"--model_dir={tmp_path / 'run'}",
        f"--train_file_pattern={records}",
        "--train_batch_size=2",
        "--preflight=false",
        "--hparams=num_classes=2,image_size=64,mixed_precision=true",
    )
    assert "error: Out of memory in training, with 2 images of 64x64 in bfloat16" in text
    assert "\n  1. gradient_accumulation=2 in --hparams: " in text


def test_main_answers_in_evaluation(capfd, monkeypatch, tmp_path):
    class FakeEvaluator:
        strategy = tf.distribute.get_strategy()

        @memory_errors("evaluation")
        def evaluate(self):
            raise OOM

    task = SimpleNamespace(config=get_config("efficientdet-d0", "image_size=64"))
    monkeypatch.setattr(evaluate, "_prepare", lambda given: (FakeEvaluator(), task, None))
    text = run_program(
        capfd, evaluate.run, "--mode=eval", f"--model_dir={tmp_path}", "--eval_batch_size=4"
    )
    assert "error: Out of memory in evaluation, with 4 images of 64x64 in float32" in text
    assert "\n  1. --eval_batch_size=2: 2 of 4 images at a time" in text
