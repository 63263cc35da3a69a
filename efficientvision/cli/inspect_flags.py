"""The flags of `model_inspect.py`, by what becomes of them (see `flags`)."""

from __future__ import annotations

from efficientvision.cli.flag_spec import HPARAMS, USE_XLA, FlagSpec, UnavailableFlag
from efficientvision.configs.run_options import EXPORT_FORMATS, NO_TENSORRT

RUNMODES = (
    "dry",
    "ckpt",
    "bm",
    "infer",
    "export",
    "saved_model",
    "saved_model_infer",
    "saved_model_benchmark",
    "saved_model_video",
    "freeze",
)

SEGMENTATION_OUTPUTS = ("class_map", "logits")

IMPLEMENTED = {
    "runmode": FlagSpec("str", "dry", f"one of {', '.join(RUNMODES)}"),
    "model_name": FlagSpec(
        "str", None, "model; else the checkpoint's own, and efficientdet-d0 without one"
    ),
    "task": FlagSpec(
        ("detection", "classification", "segmentation"),
        None,
        "what the model does; else as the checkpoint, or the model's name, says",
    ),
    "hparams": HPARAMS,
    "input_image_size": FlagSpec(
        "str",
        None,
        "input size: 512 or WIDTHxHEIGHT; of a segmenter also photo: each photo's own, rounded "
        "down to multiples of 32; wins over image_size in --hparams",
    ),
    "ckpt_path": FlagSpec(
        "str",
        None,
        "checkpoint of any kind (prefix, file or folder); empty or _ for random weights",
    ),
    "export_ckpt": FlagSpec("str", None, "--runmode=ckpt: where to write the weights"),
    "logdir": FlagSpec("str", "/tmp/deff/", "folder for the files of dry and freeze"),
    "delete_logdir": FlagSpec("bool", True, "empty --logdir of our own files first"),
    "batch_size": FlagSpec("int", 1, "images at a time; 0 in an export: any number"),
    "bm_runs": FlagSpec("int", 10, "timed runs of a benchmark"),
    "bm_runs_warmup": FlagSpec("int", 5, "runs of a benchmark before those"),
    "threads": FlagSpec("int", 0, "threads of a benchmark; 0: as many as TensorFlow likes"),
    "trust": FlagSpec(
        "bool",
        False,
        "run the SavedModel or frozen graph of --saved_model_dir even if its operations may read "
        "and write files",
    ),
    "trace_filename": FlagSpec("str", None, "write a trace of one benchmark run there"),
    "use_xla": USE_XLA,
    "input_image": FlagSpec("str", None, "photo, folder or glob of photos"),
    "input_video": FlagSpec(
        "str", None, "video file, camera by its number (0), or URL (rtsp://..., http://...)"
    ),
    "output_video": FlagSpec(
        "str", None, ".mov, .mp4 or .mkv to write; without it the video is shown on a live page"
    ),
    "live_port": FlagSpec(
        "int", None, "port of the live page on 127.0.0.1 (default 8765, 0: any free one)"
    ),
    "output_image_dir": FlagSpec("str", None, "folder for the pictures 0.jpg, 1.jpg, ..."),
    "raw_maps": FlagSpec(
        "bool", False, "segmentation: write class maps, too, <i>_classes.png with class indices"
    ),
    "tile": FlagSpec(
        "str",
        None,
        "segmentation: see photos at their own resolution, by overlapping tiles: WIDTHxHEIGHT",
    ),
    "tile_overlap": FlagSpec("int", None, "pixels that two tiles share (default 128)"),
    "segmentation_output": FlagSpec(
        SEGMENTATION_OUTPUTS,
        None,
        "exports of a segmenter: the class of each pixel of the photo (class_map), or logits at "
        "the network's size, which tiles need",
    ),
    "line_thickness": FlagSpec("int", None, "width of the drawn boxes, pixels"),
    "max_boxes_to_draw": FlagSpec("int", None, "most boxes of a picture (default 100)"),
    "min_score_thresh": FlagSpec(
        "float",
        None,
        "least score of a drawn box (default 0.4), least probability of a shown class (default 0.5 "
        "of a multi-label classifier, else 0)",
    ),
    "nms_method": FlagSpec(
        ("hard", "gaussian"), None, "non-maximum suppression; else as nms_configs.method says"
    ),
    "saved_model_dir": FlagSpec(
        "str",
        "/tmp/saved_model",
        "SavedModel folder; to read also <model>_frozen.pb, .onnx, .xml (OpenVINO) or .tflite; "
        "--runmode=export: folder of all formats",
    ),
    "tflite_path": FlagSpec("str", None, "--runmode=saved_model: write a LiteRT file there too"),
    "format": FlagSpec(
        "str",
        "saved_model,onnx,litert",
        f"--runmode=export: any of {', '.join(EXPORT_FORMATS)}, with commas",
    ),
    "nms": FlagSpec(
        ("offset", "none"),
        None,
        "--runmode=export: suppression inside (offset) or left to the caller (none); else inside, "
        "but for int8; SavedModel and frozen graph have their own kind",
    ),
    "calibration_file_pattern": FlagSpec(
        "str", None, "TFRecords whose photos int8 takes its ranges from; else --input_image"
    ),
    "val_file_pattern": FlagSpec(
        "str", None, "--runmode=export: TFRecords to measure each format on"
    ),
    "val_json_file": FlagSpec(
        "str", None, "ground truth of --val_file_pattern; else what the records say"
    ),
}

# Other names for the same flag: those of earlier and later published versions.
ALIASES = {"xla": "use_xla"}

# Said only where a flag asks for something: --use_tpu=False is as good as none.
OBSOLETE = {
    "freeze": (
        FlagSpec("bool", False, "obsolete"),
        "no version ever read it; use --runmode=freeze",
    ),
}

INVALID = {
    "tensorrt": UnavailableFlag(
        FlagSpec("str", None, "not available"),
        NO_TENSORRT,
    ),
}
