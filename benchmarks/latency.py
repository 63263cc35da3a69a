"""Measures the latency of models, compared with a yardstick in the same run.

    python benchmarks/latency.py --models=efficientdet-d0,efficientdet-d0:vfpn --image_size=512
    python benchmarks/latency.py --models=espnetv2_s_2.0,dicenet_s_1.0 --image_size=224
    python benchmarks/latency.py --models=espnetv2_s_2.0 --task=segmentation \
        --image_size=1024x512 --batch=1

The yardstick is keras.applications.EfficientNetB0(include_top=False) at 512 pixels: the column
`ratio` compares medians and is comparable between machines. Rounds are interleaved: each measures
every row once, so that disturbances affect all rows alike. Without --ckpt_path weights are random;
a detector's score threshold is set so that about 200 anchors reach non-maximum suppression.
`photo to boxes`, `photo to classes` or `photo to class map` includes preprocessing and
postprocessing of a decoded photo; all installed runtimes are measured. The last table has the peak
memory of a process that loads one file and runs it.
"""

import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import flags  # noqa: E402
from tqdm import tqdm  # noqa: E402
from yardstick import YARDSTICK, peak_bytes, yardstick  # noqa: E402

from efficientvision.cli import run_main  # noqa: E402
from efficientvision.configs import parse_image_size  # noqa: E402
from efficientvision.exports.artifacts import FORMATS, is_artifact, module_of  # noqa: E402
from efficientvision.exports.frozen_graph import freeze, graph_function  # noqa: E402
from efficientvision.exports.load_export import load_export  # noqa: E402
from efficientvision.exports.saved_model import export_saved_model, network_function  # noqa: E402
from efficientvision.exports.write_portable import write_portable  # noqa: E402
from efficientvision.loading import load_model, serving_metadata  # noqa: E402
from efficientvision.tasks.choice import build_serving  # noqa: E402
from efficientvision.tasks.detection.base_config import DetectionConfig  # noqa: E402
from efficientvision.tasks.detection.ssd_config import SsdConfig  # noqa: E402

FLAGS = flags.FLAGS
RUNTIMES = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "litert": "ai_edge_litert",
    "litert_int8": "ai_edge_litert",
}
RESULTS = {"detection": "boxes", "classification": "classes", "segmentation": "class map"}
CANDIDATES = 200
WARM_UP_ROUNDS = 3
# Threads of a runtime busy-wait for a moment, which would slow down the next row.
REST_SECONDS = 0.2


def main(argv):
    """Prints a table of percentiles."""
    del argv
    tf.get_logger().setLevel("ERROR")
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(FLAGS.threads)
    image_hw = parse_image_size(FLAGS.image_size)
    if FLAGS.memory_of:
        run_once(FLAGS.memory_of)
        print(peak_bytes())
        return
    rows = {YARDSTICK: yardstick(FLAGS.yardstick_size)}
    paths = {YARDSTICK: YARDSTICK}
    with tempfile.TemporaryDirectory() as folder:
        for index, model in enumerate(FLAGS.models):
            rows |= model_rows(model, image_hw, f"{folder}/{index}", paths)
        times = measure(rows, FLAGS.rounds)
        print_table(times, image_hw)
        print_memory(paths)


def model_rows(model, image_hw, folder, files):
    """The rows of one model: name of the row -> function without arguments to measure.

    Adds name of the row -> path to `files`, for every file with batch size 1.
    """
    name, _, fusion = model.partition(":")
    overrides = {"fpn_name": fusion} if fusion else {}
    if FLAGS.num_classes:
        overrides["num_classes"] = FLAGS.num_classes
    loaded = load_model(FLAGS.ckpt_path, name, task=FLAGS.task, image_size=image_hw, **overrides)
    images = tf.random.stateless_normal((1, *image_hw, 3), (0, 0))
    detects = isinstance(loaded.config, DetectionConfig)
    results, with_nms = RESULTS[loaded.config.task], " with NMS" if detects else ""
    if detects:
        set_threshold(loaded, images)
    function, outputs = network_function(build_serving(loaded.model, loaded.config), 1)
    fetches = [f"{output}:0" for output in outputs]
    frozen = graph_function(freeze(function, outputs), ["input:0"], fetches)
    rows = {
        f"{model} network, Keras in tf.function": lambda: _wait(function(images)),
        f"{model} network, frozen graph": lambda: _wait(frozen(images)),
    }
    pixels = noise_images(image_hw)[0]
    for batch in sorted({1, FLAGS.batch}):
        what = f"photo to {results}" if batch == 1 else f"{batch} photos to {results}"
        photos = np.repeat(noise_photo(), batch, axis=0)
        for runtime, path in write_files(loaded, batch, f"{folder}/{batch}").items():
            run, _ = load_export(path, FLAGS.threads)
            row = f"{model} {what}, {runtime}"
            rows[row] = functools.partial(run, photos)
            if batch > 1:
                continue
            files[row] = path
            if is_artifact(path):
                network, _ = module_of(path).load(path, FLAGS.threads)
                inside = "" if runtime == "litert_int8" else with_nms
                rows[f"{model} network{inside}, {runtime}"] = functools.partial(network, pixels)
    return rows


def write_files(loaded, batch, folder):
    """Exports a model for all installed runtimes: name of the format -> path."""
    metadata = serving_metadata(loaded, batch_size=batch)
    folder_of_tensorflow = f"{folder}/saved_model"
    export_saved_model(build_serving(loaded.model, loaded.config), folder_of_tensorflow, metadata)
    paths = {
        "SavedModel": folder_of_tensorflow,
        "frozen graph": f"{folder_of_tensorflow}/{metadata.model_name}_frozen.pb",
    }
    for form, runtime in RUNTIMES.items():
        if importlib.util.find_spec(runtime) is None:
            continue
        paths[form] = f"{folder}/{form}{FORMATS[form].suffix}"
        write_portable(
            loaded.model,
            loaded.config,
            metadata,
            FORMATS[form],
            paths[form],
            # NMS inside requires batch size 1.
            nms="none" if batch > 1 and isinstance(loaded.config, DetectionConfig) else None,
            calibration=noise_images(loaded.config.image_hw, batch),
        )
    return paths


def noise_photo():
    """A photo of noise, uint8 [1, H, W, 3]."""
    shape = (1, FLAGS.photo_height, FLAGS.photo_width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def noise_images(image_hw, batch=1):
    """Calibration images of noise for int8, good enough to measure speed."""
    rng = np.random.default_rng(1)
    return [rng.uniform(0, 255, (batch, *image_hw, 3)).astype(np.float32) for _ in range(4)]


def set_threshold(loaded, images):
    """Sets the score threshold so that about `CANDIDATES` anchors pass, as with trained weights."""
    class_outputs, _ = loaded.model(images, training=False)
    if isinstance(loaded.config, SsdConfig):
        scores = tf.nn.softmax(class_outputs)[0, :, 1:]
    else:
        rows = [tf.reshape(level, (-1, loaded.config.num_classes)) for level in class_outputs]
        scores = tf.sigmoid(tf.concat(rows, axis=0))
    score = float(np.sort(tf.reduce_max(scores, axis=-1))[-CANDIDATES])
    loaded.config.override({"nms_configs": {"method": "hard", "score_thresh": score}})


def measure(rows, rounds):
    """Measures the seconds of every row in each round."""
    times = {name: [] for name in rows}
    for index in tqdm(range(WARM_UP_ROUNDS + rounds), unit="round"):
        for name, run in rows.items():
            time.sleep(REST_SECONDS)
            run()  # Refills the caches after the previous row.
            start = time.perf_counter()
            run()
            if index >= WARM_UP_ROUNDS:
                times[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in times.items()}


def print_table(times, image_hw):
    """Prints milliseconds, images per second, and the ratio of medians to the yardstick."""
    rounds = len(times[YARDSTICK])
    print(
        f"input {image_hw[1]}x{image_hw[0]}, photo {FLAGS.photo_width}x{FLAGS.photo_height}, "
        f"{FLAGS.threads} threads, {rounds} interleaved rounds, milliseconds"
    )
    width = max(map(len, times))
    print(f"{'':<{width}}{'p50':>9}{'p90':>9}{'p99':>9}{'images/s':>10}{'ratio':>8}")
    base = np.median(times[YARDSTICK])
    for name, seconds in times.items():
        p50, p90, p99 = 1000 * np.percentile(seconds, [50, 90, 99])
        images = FLAGS.batch if f" {FLAGS.batch} photos" in name else 1
        print(
            f"{name:<{width}}{p50:>9.1f}{p90:>9.1f}{p99:>9.1f}"
            f"{1000 * images / p50:>10.2f}{p50 / 1000 / base:>8.2f}"
        )


def run_once(path):
    """Loads and runs one file, in a process whose memory is measured."""
    if path == YARDSTICK:
        yardstick(FLAGS.yardstick_size)()
    else:
        run, _ = load_export(path, FLAGS.threads)
        run(noise_photo())


def print_memory(paths):
    """Prints the peak memory of a process per file, and its ratio to the yardstick's."""
    peaks = {}
    for name, path in paths.items():
        done = subprocess.run(
            [sys.executable, __file__, f"--memory_of={path}", f"--threads={FLAGS.threads}"],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks[name] = int(done.stdout.split()[-1])
    width = max(map(len, paths))
    print(f"{'':<{width}}{'peak MiB':>10}{'ratio':>8}")
    for name, peak in peaks.items():
        print(f"{name:<{width}}{peak / 2**20:>10.0f}{peak / peaks[YARDSTICK]:>8.2f}")


def _wait(outputs):
    return [output.numpy() for output in tf.nest.flatten(outputs)]


if __name__ == "__main__":
    flags.DEFINE_list("models", ["efficientdet-d0"], "models, as name or name:fusion")
    flags.DEFINE_string("ckpt_path", None, "weights, for a single model; default: random")
    flags.DEFINE_string("memory_of", None, "load and run this export, and print the peak in bytes")
    flags.DEFINE_enum("task", None, list(RESULTS), "task; default: inferred from the model name")
    flags.DEFINE_string("image_size", "512", "the networks' input, pixels: a side or WIDTHxHEIGHT")
    flags.DEFINE_integer("num_classes", None, "outputs of the class head; default: the model's own")
    flags.DEFINE_integer("batch", 8, "batch size of the additional batched rows; 1: none")
    flags.DEFINE_integer("yardstick_size", 512, "side of the yardstick's input, pixels")
    flags.DEFINE_integer("photo_width", 640, "width of the photo, pixels")
    flags.DEFINE_integer("photo_height", 480, "height of the photo, pixels")
    flags.DEFINE_integer("rounds", 30, "measurements of each row")
    flags.DEFINE_integer("threads", 2, "threads of TensorFlow")
    run_main(main)
