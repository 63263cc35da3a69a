"""Look at, time, export and run a detector, a classifier or a segmenter.

--runmode is one of
  dry                    parameters and multiply-adds of each part; its weights go to --logdir
  ckpt                   does --ckpt_path fit; --export_ckpt writes its averages as a checkpoint
  bm                     time the network on noise
  infer                  draw what --ckpt_path finds in --input_image into --output_image_dir:
                         boxes, the likeliest classes, or the classes of the pixels
  export                 write --format to --saved_model_dir, each checked against the network
  saved_model            export photos -> detections, probabilities or class maps to
                         --saved_model_dir
  saved_model_infer      as infer, with the SavedModel or frozen graph --saved_model_dir
  saved_model_video      as infer, with --input_video into --output_video or on a live page;
                         with the model of --saved_model_dir, or --ckpt_path where there is none
  saved_model_benchmark  time an exported model, from the photo to the results
  freeze                 the network alone as a frozen graph, in --logdir
"""

import importlib

from absl import flags

from efficientvision.cli.flags import RUNMODES, report_obsolete
from efficientvision.cli.tensorflow_start import compile_clusters, load_tensorflow_quietly
from efficientvision.errors import UserError
from efficientvision.registry import list_models, nearest_names

_BUILD = {"dry", "ckpt", "bm", "infer", "export", "saved_model", "freeze"}
_RUN_EXPORTED = {"saved_model_infer", "saved_model_benchmark"}
_EXPORT = {"export", "saved_model"}
_PHOTOS = {"infer", "saved_model_infer"}
_VIDEO = {"saved_model_video"}
_DRAW = _PHOTOS | _VIDEO
# Flag -> the runmodes that it means something to; a flag that is not here serves all of them.
_USED_BY = {
    "task": _BUILD,
    "ckpt_path": _BUILD | _VIDEO,
    "input_image_size": _BUILD | _VIDEO,
    "export_ckpt": {"ckpt"},
    "logdir": {"dry", "freeze"},
    "delete_logdir": {"dry", "freeze"},
    "format": {"export"},
    "nms": {"export"},
    "tflite_path": {"saved_model"},
    "calibration_file_pattern": {"export"},
    "val_file_pattern": {"export"},
    "val_json_file": {"export"},
    "batch_size": _DRAW | {"bm", "export", "freeze", "saved_model", "saved_model_benchmark"},
    "bm_runs": {"bm", "export", "saved_model_benchmark"},
    "bm_runs_warmup": {"bm", "saved_model_benchmark"},
    "trace_filename": {"bm", "saved_model_benchmark"},
    "trust": {"saved_model_infer", "saved_model_video", "saved_model_benchmark"},
    "use_xla": {"bm", "saved_model_benchmark"},
    "input_image": _PHOTOS | {"export", "saved_model_benchmark"},
    "output_image_dir": _PHOTOS,
    "input_video": _VIDEO,
    "output_video": _VIDEO,
    "live_port": _VIDEO,
    "line_thickness": _DRAW,
    "max_boxes_to_draw": _DRAW | _EXPORT,
    "min_score_thresh": _DRAW | _EXPORT,
    "nms_method": _DRAW | _EXPORT,
    "raw_maps": _PHOTOS,
    "tile": _DRAW,
    "tile_overlap": _DRAW,
    "segmentation_output": _EXPORT,
    "saved_model_dir": _RUN_EXPORTED | _VIDEO | _EXPORT,
}


def main(argv: list[str], flag_values: flags.FlagValues = flags.FLAGS) -> int | None:
    """Runs the runmode that the flags name.

    Args:
        argv: what was no flag; not used.
        flag_values: parsed flags of `define_inspect_flags`.

    Returns:
        The exit code; None: 0.

    Raises:
        UserError: bad flags or bad input.
    """
    del argv
    report_obsolete(flag_values)
    runmode = _checked_runmode(flag_values.runmode)
    _check_values(flag_values)
    _say_unused(runmode, flag_values)
    if flag_values.use_xla and runmode == "saved_model_benchmark":
        compile_clusters()
    # TensorFlow starts here and no earlier: mistakes in flags are told at once.
    load_tensorflow_quietly()
    import tensorflow as tf

    from efficientvision.configs.inspect_options import InspectSettings
    from efficientvision.runs.gpu_memory import grow_gpu_memory

    grow_gpu_memory()
    tf.get_logger().setLevel("ERROR")
    if flag_values.threads:
        tf.config.threading.set_intra_op_parallelism_threads(flag_values.threads)
        print(f"num_threads for benchmarking: {flag_values.threads}")
    settings = InspectSettings(
        model_name=flag_values.model_name or None,
        task=flag_values.task,
        ckpt_path=None if flag_values.ckpt_path in (None, "", "_") else flag_values.ckpt_path,
        hparams=flag_values.hparams,
        input_image_size=flag_values.input_image_size,
        batch_size=flag_values.batch_size or None,
        nms_method=flag_values.nms_method,
        min_score_thresh=flag_values.min_score_thresh,
        max_boxes_to_draw=flag_values.max_boxes_to_draw,
        line_thickness=flag_values.line_thickness,
        input_image=flag_values.input_image,
        output_image_dir=flag_values.output_image_dir,
        input_video=flag_values.input_video,
        output_video=flag_values.output_video,
        live_port=flag_values.live_port,
        saved_model_dir=flag_values.saved_model_dir,
        logdir=flag_values.logdir,
        delete_logdir=flag_values.delete_logdir,
        export_ckpt=flag_values.export_ckpt,
        bm_runs=flag_values.bm_runs,
        bm_runs_warmup=flag_values.bm_runs_warmup,
        use_xla=flag_values.use_xla,
        trace_filename=flag_values.trace_filename,
        formats=tuple(name.strip() for name in flag_values.format.split(",") if name.strip()),
        nms=flag_values.nms,
        calibration_file_pattern=flag_values.calibration_file_pattern,
        val_file_pattern=flag_values.val_file_pattern,
        val_json_file=flag_values.val_json_file,
        threads=flag_values.threads,
        trust=flag_values.trust,
        tflite_path=flag_values.tflite_path,
        raw_maps=flag_values.raw_maps,
        tile=flag_values.tile,
        tile_overlap=flag_values.tile_overlap,
        segmentation_output=flag_values.segmentation_output,
    )
    return importlib.import_module(f"efficientvision.cli.inspect_{runmode}").run(settings)


def _checked_runmode(runmode: str) -> str:
    if runmode not in RUNMODES:
        raise UserError(f"unknown --runmode={runmode}. {nearest_names(runmode, RUNMODES)}")
    return runmode


def _check_values(flag_values: flags.FlagValues) -> None:
    valid = list_models(flag_values.task)
    name = flag_values.model_name
    if name and name not in valid:
        raise UserError(f"unknown --model_name={name}. {nearest_names(name, valid)}")
    if flag_values.bm_runs < 1:
        raise UserError(f"--bm_runs={flag_values.bm_runs}: at least one run is needed")
    for name in ("batch_size", "threads", "bm_runs_warmup"):
        if flag_values[name].value is not None and flag_values[name].value < 0:
            raise UserError(f"--{name}={flag_values[name].value}: must not be negative")
    for name in ("line_thickness", "max_boxes_to_draw"):
        if flag_values[name].value is not None and flag_values[name].value < 1:
            raise UserError(f"--{name}={flag_values[name].value}: must be at least 1")
    score = flag_values.min_score_thresh
    if score is not None and not 0 <= score <= 1:
        raise UserError(f"--min_score_thresh={score}: must lie between 0 and 1")


def _say_unused(runmode: str, flag_values: flags.FlagValues) -> None:
    for name, runmodes in _USED_BY.items():
        if flag_values[name].present and runmode not in runmodes:
            print(f"Flag --{name} has no effect with --runmode={runmode}")
