"""`efficientvision predict`."""

from __future__ import annotations

from efficientvision import files
from efficientvision.cli.commands.base import TRUST, Argument, Call, Command, grouped
from efficientvision.cli.commands.evaluate import check_model_path
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.configs.overrides import read_overrides
from efficientvision.configs.predict_options import PredictOptions, predict_options
from efficientvision.errors import UserError

_GROUPS = {
    "Results": ("min_score_thresh", "classes", "top_k", "tile", "tile_overlap"),
    "Files": (
        *("folder", "pictures", "line_thickness", "max_boxes_to_draw", "save_txt", "save_conf"),
        *("save_crops", "save_prelabels", "label_studio_prefix", "resume", "overwrite"),
    ),
    "Videos": (
        *("track", "track_seconds", "track_min_frames", "track_min_score"),
        *("track_across_classes", "count_line"),
    ),
    "Model": ("model_name", "hparams", "batch_size", "threads", "trust"),
}


def _check(call: Call) -> None:
    model, *photos = call.words
    check_model_path(model)
    read_overrides(call.options.get("hparams"))
    for path in photos:
        if path and not files.matches(path):
            raise UserError(f"PHOTOS {path} does not exist: expected photos, a folder or a video.")
    predict_options(call.options)


def _run(call: Call) -> int:
    load_tensorflow_quietly(warnings=False)
    from efficientvision.runs.predict import predict

    model, *photos = call.words
    done = predict(model, photos if photos[1:] else photos[0], **call.options)
    return 1 if done.unread else 0


COMMAND = Command(
    name="predict",
    summary="Runs a model on photos or a video; writes pictures and tables.",
    examples=[
        ("efficientvision predict runs/cells photos/", "a folder, with all folders in it"),
        (
            "efficientvision predict runs/cells new/ --min_score_thresh=0.3,WBC=0.6",
            "one minimum score for all classes, and one for WBC",
        ),
        ("efficientvision predict exports/cells.tflite a.jpg b.jpg", "an exported model"),
        (
            "efficientvision predict runs/cells new/ --save_prelabels=cvat,label_studio",
            "labels to correct by hand",
        ),
        ("efficientvision predict runs/cars video.mp4 --track", "numbers the objects of a video"),
    ],
    arguments=[
        Argument("MODEL", "run's folder, checkpoint or exported model", options=("model",)),
        Argument(
            "PHOTOS",
            "photos, a folder, a glob, a .txt that lists photos, or a video",
            options=("photos",),
            many=True,
        ),
    ],
    groups=grouped(PredictOptions, _GROUPS),
    texts={"trust": TRUST},
    run=_run,
    check=_check,
)
