"""The flags of `main.py`, by what becomes of them (see `flags`)."""

from __future__ import annotations

from efficientvision.cli.flag_spec import HPARAMS, USE_XLA, FlagSpec, UnavailableFlag

MODES = ("train", "eval", "train_and_eval", "report")

IMPLEMENTED = {
    "mode": FlagSpec(
        "string",
        "train",
        f"one of {', '.join(MODES)}; report: draw the plots and report.html of a run again, from "
        "the files in --model_dir",
    ),
    "task": FlagSpec(
        ("", "detection", "classification", "segmentation"),
        "",
        "what the network learns; without it, what --model_name is for",
    ),
    "dataset": FlagSpec(
        ("", "imagenet", "coco", "coco_multilabel", "pascal", "city"),
        "",
        "classification: imagenet: one class an image; coco or coco_multilabel: those of the "
        "objects in it (any detection records; the hyper-parameter multi_label); segmentation: "
        "pascal: 21 classes; city: 20, with EdgeNets' weights and scales of Cityscapes; SSD: "
        "pascal, coco: their classes and metrics",
    ),
    "model_name": FlagSpec(
        "string", "efficientdet-d1", "model, such as efficientdet-d0, espnetv2_s_2.0"
    ),
    "model_dir": FlagSpec(
        "string", None, "folder of the run: checkpoints, logs, config.yaml, labels.json"
    ),
    "hparams": HPARAMS,
    "data_dir": FlagSpec(
        "string",
        None,
        "folder of train*.tfrecord, val*.tfrecord and the evaluation's JSON (instances_val*.json, "
        "json_val*.json), in place of the three flags below",
    ),
    "train_file_pattern": FlagSpec("string", None, "glob of the training TFRecords"),
    "val_file_pattern": FlagSpec("string", None, "glob of the evaluation TFRecords"),
    "val_json_file": FlagSpec(
        "string",
        None,
        "ground truth of the evaluation in COCO format; without it, that of the TFRecords",
    ),
    "testdev_dir": FlagSpec(
        "string",
        None,
        "write detections for the COCO test-dev server into this folder "
        "(detections_test-dev2017_test_results.json); nothing is measured then; segmentation: PNGs "
        "for the server of PASCAL VOC or Cityscapes, of the records or the photos that "
        "--val_file_pattern names",
    ),
    "testdev_info_file": FlagSpec(
        "string",
        None,
        "with --testdev_dir: COCO's image_info_test-dev2017.json; results are refused, and records "
        "before that, whose image ids are not exactly those of this file",
    ),
    "train_batch_size": FlagSpec("int", 64, "images in a training step, all devices together"),
    "eval_batch_size": FlagSpec("int", 1, "images in an evaluation step"),
    "eval_samples": FlagSpec("int", 5000, "most images of an evaluation, from the first"),
    "test_flip": FlagSpec(
        "bool",
        False,
        "--mode=eval: look at each photo's mirror image too (twice the time)",
    ),
    "test_scales": FlagSpec(
        "string",
        "1",
        "--mode=eval: scales at which to look at each photo, as factors of image_size, such as "
        "0.75,1,1.25; the network's input grows or shrinks by whole strides of its coarsest level "
        "(128 pixels)",
    ),
    "test_merge": FlagSpec(
        ("wbf", "nms"),
        "wbf",
        "how the detections of several looks become one set; wbf: boxes that overlap are averaged "
        "(weighted box fusion), after hard NMS in each look; nms: the candidates of all enter one "
        "suppression, as nms_configs says",
    ),
    "test_iou_thresh": FlagSpec(
        "float", None, "wbf: least overlap (0..1) of boxes that are averaged; without it 0.55"
    ),
    "num_examples_per_epoch": FlagSpec(
        "int", 120000, "images in an epoch; not given, for all but an EfficientDet all there are"
    ),
    "num_epochs": FlagSpec("int", None, "epochs; without it, the hyper-parameter num_epochs"),
    "save_checkpoints_steps": FlagSpec("int", 1000, "steps between checkpoints"),
    "iterations_per_loop": FlagSpec(
        "int", 100, "most steps between two looks at the progress (one compiled call)"
    ),
    "backbone_ckpt": FlagSpec(
        "string", "", "checkpoint whose backbone training starts from (not with --ckpt)"
    ),
    "ckpt": FlagSpec(
        "string",
        None,
        "checkpoint that training starts from; --mode=eval: what is evaluated, as --model_dir",
    ),
    "strategy": FlagSpec(
        ("", "none", "gpus", "multi_worker", "tpu"),
        None,
        "none: one device; gpus: every GPU of this machine; multi_worker: every machine that "
        "TF_CONFIG or SLURM names; tpu. Without the flag: tpu with --tpu or --use_tpu, else "
        "multi_worker where several workers are named, else gpus where there are several",
    ),
    "tpu": FlagSpec("string", None, "name of a Cloud TPU, or its address grpc://HOST:8470"),
    "use_tpu": FlagSpec("bool", None, "train on the TPU of --tpu, or on that of this machine"),
    "tpu_zone": FlagSpec("string", None, "zone of --tpu, if it is not this machine's"),
    "gcp_project": FlagSpec("string", None, "Google Cloud project of --tpu, if not this machine's"),
    "num_cores": FlagSpec("int", 8, "TPU cores; given, another number on the TPU is an error"),
    "cpu_replicas": FlagSpec(
        "int",
        1,
        "train on so many replicas that share the CPU, to try on any machine what several GPUs "
        "would compute",
    ),
    "restarts": FlagSpec(
        "int",
        0,
        "how often training starts again from the newest checkpoint after a process or a worker "
        "has died",
    ),
    "join_timeout": FlagSpec(
        "int",
        600,
        "several workers: seconds to wait for all of them, at the start and after a death",
    ),
    "heartbeat_port": FlagSpec(
        "int",
        None,
        "several workers: port on the first one's host by which they watch each other; else its "
        "port in TF_CONFIG plus 1000",
    ),
    "preflight": FlagSpec(
        ("true", "false", "only"),
        "true",
        "true: look at records, classes, boxes, anchors and recipe before the first step, and stop "
        "if something cannot work; only: end after that; false: look at the class ids only",
    ),
    "use_xla": USE_XLA,
    "use_fake_data": FlagSpec("bool", False, "repeat the first batch, to time the rest"),
    "eval_after_train": FlagSpec("bool", False, "evaluate once when training ends"),
    "eval_name": FlagSpec("string", None, "name of the evaluation's TensorBoard folder"),
    "min_eval_interval": FlagSpec("int", 180, "--mode=eval: least seconds between two evaluations"),
    "eval_timeout": FlagSpec(
        "int", None, "--mode=eval: seconds to wait for a new checkpoint before it ends"
    ),
    "trust": FlagSpec(
        "bool",
        False,
        "--mode=eval of a SavedModel or frozen graph: run it even if its operations may read and "
        "write files",
    ),
    "profile": FlagSpec("bool", False, "write a TensorFlow profile of some training steps"),
    "seed": FlagSpec(
        "int", None, "seed of weights, order and augmentation; else the hyper-parameter seed"
    ),
    "on_bad_record": FlagSpec(
        ("stop", "skip"),
        "stop",
        "records that cannot be read or decoded: stop names the first; skip leaves them out, "
        "counted and listed (reads the whole data set first)",
    ),
    "on_nan": FlagSpec(
        ("stop", "skip"),
        "stop",
        "a step whose loss or gradients are not finite (NaN, infinite) is never applied; stop: end "
        "there, with the images of its batch; skip: go on without it, and count",
    ),
    "deterministic": FlagSpec(
        "bool", False, "the same numbers in every run, at some cost of speed"
    ),
    "tf_data_service": FlagSpec(
        "string",
        None,
        "grpc://host:port of a tf.data service, whose machines then decode and augment the "
        "training photos, for hosts that cannot feed their accelerators (not with --deterministic)",
    ),
}

# Other names for the same flag: those of earlier and later published versions.
ALIASES = {
    "training_file_pattern": "train_file_pattern",
    "validation_file_pattern": "val_file_pattern",
    "eval_after_training": "eval_after_train",
    "tf_random_seed": "seed",
}

_NO_PARTITION = (
    "every core works on whole images; where one does not fit a core, use grad_checkpoint=true, "
    "mixed_precision=true or a smaller batch"
)

# Said only where a flag asks for something.
OBSOLETE = {
    "eval_master": (
        FlagSpec("string", "", "obsolete"),
        "evaluation runs in this process",
    ),
    "run_epoch_in_child_process": (
        FlagSpec("bool", False, "obsolete"),
        "memory does not grow from epoch to epoch",
    ),
    "use_spatial_partition": (
        FlagSpec("bool", False, "obsolete"),
        _NO_PARTITION,
    ),
    "num_cores_per_replica": (
        FlagSpec("int", 8, "obsolete"),
        _NO_PARTITION,
    ),
    "input_partition_dims": (
        FlagSpec("ints", [1, 4, 2, 1], "obsolete"),
        _NO_PARTITION,
    ),
}

# Refused, each with its reason.
INVALID: dict[str, UnavailableFlag] = {}
