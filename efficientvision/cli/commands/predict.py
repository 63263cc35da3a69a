"""`efficientvision predict`."""

from __future__ import annotations

from efficientvision.cli.commands.base import TRUST, Argument, Call, Command, grouped
from efficientvision.cli.commands.evaluate import check_model_path
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.configs.predict_options import PredictOptions, predict_options

_GROUPS = {
    "Results": ["min_score_thresh", "classes", "top_k", "tile", "tile_overlap"],
    "Files": [
        *("folder", "pictures", "line_thickness", "max_boxes_to_draw", "save_txt", "save_conf"),
        *("save_crops", "save_prelabels", "label_studio_prefix", "resume", "overwrite"),
    ],
    "Videos": [
        *("track", "track_seconds", "track_min_frames", "track_min_score"),
        *("track_across_classes", "count_line"),
    ],
    "Model": ["model_name", "hparams", "batch_size", "threads", "trust"],
}


def _check(call: Call) -> None:
    check_model_path(call.words[0])
    predict_options(call.options)


def _run(call: Call) -> int:
    model, photos = call.words
    load_tensorflow_quietly()
    from efficientvision.runs.predict import predict

    return 1 if predict(model, photos, **call.options).unread else 0


COMMAND = Command(
    name="predict",
    summary="Runs a model on photos and writes pictures, tables and pre-labels.",
    examples=[
        ("efficientvision predict runs/efficientdet-lite0 new_photos/", "a folder of photos"),
        (
            "efficientvision predict runs/a new_photos/ --save_prelabels=cvat",
            "results to correct by hand in CVAT",
        ),
        ("efficientvision predict runs/a clip.mp4 --track", "objects followed through a video"),
    ],
    arguments=[
        Argument("MODEL", "run's folder, checkpoint or exported model", options=("model_dir",)),
        Argument(
            "PHOTOS",
            "photo, folder, glob, text file that lists photos, or video",
            options=("photos",),
        ),
    ],
    groups=grouped(PredictOptions, _GROUPS),
    texts={"trust": TRUST},
    run=_run,
    check=_check,
)
