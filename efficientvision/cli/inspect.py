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

from efficientvision.cli.flags import RUNMODES, report_obsolete, values_of
from efficientvision.cli.tensorflow_start import compile_clusters, load_tensorflow_quietly
from efficientvision.errors import UserError
from efficientvision.registry import list_models, nearest_names
from efficientvision.runs.inspect_options import InspectOptions
from efficientvision.runs.options import option_fields


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

    from efficientvision.runs.gpu_memory import grow_gpu_memory
    from efficientvision.runs.inspect_settings import InspectSettings

    grow_gpu_memory()
    tf.get_logger().setLevel("ERROR")
    if flag_values.threads:
        tf.config.threading.set_intra_op_parallelism_threads(flag_values.threads)
        print(f"num_threads for benchmarking: {flag_values.threads}")
    values = values_of(InspectSettings, flag_values)
    values |= {name: values[name] or None for name in ("model_name", "batch_size", "ckpt_path")}
    if values["ckpt_path"] == "_":
        values["ckpt_path"] = None
    settings = InspectSettings(**values)
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
    for field in option_fields(InspectOptions):
        used = runmode in field.metadata.get("runmodes", RUNMODES)
        if not used and flag_values[field.name].present:
            print(f"Flag --{field.name} has no effect with --runmode={runmode}")
