"""`efficientvision benchmark`."""

from __future__ import annotations

from efficientvision import files
from efficientvision.cli.commands.base import TRUST, Argument, Call, Command
from efficientvision.cli.commands.evaluate import check_model_path
from efficientvision.cli.commands.inspect_groups import groups_of
from efficientvision.cli.tensorflow_start import compile_clusters, load_tensorflow_quietly
from efficientvision.errors import UserError
from efficientvision.registry import list_models, task_of

_STAND_FOR = ("ckpt_path", "saved_model_dir")


def _is_name(model: str) -> bool:
    """Whether MODEL is a name rather than a path."""
    return model in list_models() and not files.exists(model)


def _check(call: Call) -> None:
    (model,) = call.words
    looks_like_path = "/" in model or "." in files.base_name(model)
    if not files.exists(model) and model not in list_models() and not looks_like_path:
        task_of(model)  # Names the nearest models.
    if not _is_name(model):
        check_model_path(model)
    elif "model_name" in call.options:
        raise UserError(f"MODEL {model} is a name already: remove --model_name.")


def _run(call: Call) -> None:
    (model,) = call.words
    if call.options.get("use_xla"):
        compile_clusters()
    load_tensorflow_quietly(warnings=False)
    import tensorflow as tf

    from efficientvision.runs import calls

    if threads := call.options.get("threads"):
        tf.config.threading.set_intra_op_parallelism_threads(threads)

    options = dict(call.options)
    name = options.pop("model_name", None)
    if _is_name(model):
        calls.benchmark(None, model, **options)
    else:
        calls.benchmark(model, name, **options)


COMMAND = Command(
    name="benchmark",
    summary="Measures how long a model takes per photo on this machine.",
    details="""
A network (a name, a checkpoint or a run) is timed on noise, without pre- and
postprocessing; an exported model end to end, from photo to results.
""",
    examples=[
        ("efficientvision benchmark efficientdet-d0", "a network with random weights"),
        ("efficientvision benchmark exports/efficientdet-lite0.tflite --threads=4", "an export"),
    ],
    arguments=[
        Argument("MODEL", "a network's name, a run's folder, a checkpoint or an exported model")
    ],
    groups=groups_of(["bm", "saved_model_benchmark"], _STAND_FOR),
    texts={"trust": TRUST},
    run=_run,
    check=_check,
)
