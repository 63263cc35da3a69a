"""Look at, time, export and run a detector.

--runmode is one of
  dry                    parameters and multiply-adds of each part; its weights go to --logdir
  ckpt                   does --ckpt_path fit; --export_ckpt writes its averages as a checkpoint
  bm                     time the network on noise
  infer                  draw what --ckpt_path finds in --input_image into --output_image_dir
  saved_model            export photos -> detections to --saved_model_dir
  saved_model_infer      as infer, with the SavedModel or frozen graph --saved_model_dir
  saved_model_benchmark  time an exported model, photo to detections
  freeze                 the network alone as a frozen graph, in --logdir
"""

import importlib

from absl import flags

from efficientvision.cli.flags import RUNMODES, define_inspect_flags, report_obsolete
from efficientvision.errors import UserError
from efficientvision.registry import list_models, nearest_names

FLAGS = flags.FLAGS

# Runmodes of the published program that this version lacks.
_UNAVAILABLE = {"saved_model_video": "video is not available in this version; use infer"}

_BUILD = {"dry", "ckpt", "bm", "infer", "saved_model", "freeze"}
_RUN_EXPORTED = {"saved_model_infer", "saved_model_benchmark"}
_DRAW = {"infer", "saved_model_infer"}
# Flag -> the runmodes that it means something to; a flag that is not here serves all of them.
_USED_BY = {
    "ckpt_path": _BUILD,
    "input_image_size": _BUILD,
    "export_ckpt": {"ckpt"},
    "logdir": {"dry", "freeze"},
    "delete_logdir": {"dry", "freeze"},
    "batch_size": {"bm", "saved_model", "freeze", "saved_model_benchmark"},
    "bm_runs": {"bm", "saved_model_benchmark"},
    "trace_filename": {"bm"},
    "use_xla": {"bm"},
    "input_image": _DRAW | {"saved_model_benchmark"},
    "output_image_dir": _DRAW,
    "line_thickness": _DRAW,
    "max_boxes_to_draw": _DRAW | {"saved_model"},
    "min_score_thresh": _DRAW | {"saved_model"},
    "nms_method": _DRAW | {"saved_model"},
    "saved_model_dir": _RUN_EXPORTED | {"saved_model"},
}


def define_flags() -> None:
    """Declares the flags."""
    define_inspect_flags()


def main(argv: list[str]) -> None:
    """Runs the runmode that the flags name.

    Raises:
        UserError: bad flags or bad input.
    """
    del argv
    report_obsolete()
    runmode = _checked_runmode(FLAGS.runmode)
    _check_values()
    _say_unused(runmode)
    # TensorFlow starts here and no earlier: mistakes in flags are told at once.
    import tensorflow as tf

    from efficientvision.cli.inspect_settings import InspectSettings

    if FLAGS.threads:
        tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
        print(f"num_threads for benchmarking: {FLAGS.threads}")
    settings = InspectSettings(
        model_name=FLAGS.model_name or None,
        ckpt_path=None if FLAGS.ckpt_path in (None, "", "_") else FLAGS.ckpt_path,
        hparams=FLAGS.hparams,
        input_image_size=FLAGS.input_image_size,
        batch_size=FLAGS.batch_size or None,
        nms_method=FLAGS.nms_method,
        min_score_thresh=FLAGS.min_score_thresh,
        max_boxes_to_draw=FLAGS.max_boxes_to_draw,
        line_thickness=FLAGS.line_thickness,
        input_image=FLAGS.input_image,
        output_image_dir=FLAGS.output_image_dir,
        saved_model_dir=FLAGS.saved_model_dir,
        logdir=FLAGS.logdir,
        delete_logdir=FLAGS.delete_logdir,
        export_ckpt=FLAGS.export_ckpt,
        bm_runs=FLAGS.bm_runs,
        use_xla=FLAGS.use_xla,
        trace_filename=FLAGS.trace_filename,
    )
    importlib.import_module(f"efficientvision.cli.inspect_{runmode}").run(settings)


def _checked_runmode(runmode: str) -> str:
    if runmode in _UNAVAILABLE:
        raise UserError(f"--runmode={runmode}: {_UNAVAILABLE[runmode]}")
    if runmode not in RUNMODES:
        raise UserError(f"unknown --runmode={runmode}. {nearest_names(runmode, RUNMODES)}")
    return runmode


def _check_values() -> None:
    valid = list_models("detection")
    if FLAGS.model_name and FLAGS.model_name not in valid:
        raise UserError(
            f"unknown --model_name={FLAGS.model_name}. {nearest_names(FLAGS.model_name, valid)}"
        )
    if FLAGS.bm_runs < 1:
        raise UserError(f"--bm_runs={FLAGS.bm_runs}: at least one run is needed")
    for name in ("batch_size", "threads"):
        if FLAGS[name].value is not None and FLAGS[name].value < 0:
            raise UserError(f"--{name}={FLAGS[name].value}: must not be negative")
    for name in ("line_thickness", "max_boxes_to_draw"):
        if FLAGS[name].value is not None and FLAGS[name].value < 1:
            raise UserError(f"--{name}={FLAGS[name].value}: must be at least 1")
    score = FLAGS.min_score_thresh
    if score is not None and not 0 <= score <= 1:
        raise UserError(f"--min_score_thresh={score}: must lie between 0 and 1")


def _say_unused(runmode: str) -> None:
    for name, runmodes in _USED_BY.items():
        if FLAGS[name].present and runmode not in runmodes:
            print(f"Flag --{name} has no effect with --runmode={runmode}")
