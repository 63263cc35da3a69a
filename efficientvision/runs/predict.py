"""`ev.predict`: runs a model on photos, and writes pictures and tables of what it finds."""

from __future__ import annotations

import itertools
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from efficientvision import files
from efficientvision.configs.predict_options import PredictOptions, predict_options
from efficientvision.data.photo_sources import NamedPhoto, find_photos
from efficientvision.data.photos import open_photo
from efficientvision.data.picture_folders import LeftOut
from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.progress import tqdm
from efficientvision.results.journal import JOURNAL_NAME, Journal
from efficientvision.runs.devices import grow_gpu_memory
from efficientvision.runs.load import load
from efficientvision.runs.prediction_files import PredictionFiles, Predictions
from efficientvision.tasks.predictor import VIDEO_SUFFIXES, Predictor
from efficientvision.training.checkpoints import latest_checkpoint
from efficientvision.weights.hub import local_path

log = logging.getLogger(__name__)

_READERS = 2
# Options whose effect on photos that are done could not be repeated.
_FIXED_OPTIONS = (
    *("hparams", "classes", "top_k", "tile", "tile_overlap"),
    *("pictures", "line_thickness", "max_boxes_to_draw", "save_crops"),
)


def predict(
    model: AnyPath | Predictor,
    photos: AnyPath | Sequence[AnyPath],
    folder: AnyPath = "predictions",
    **options: Any,
) -> Predictions:
    """Runs a model on photos of any number, and writes what it finds into a folder.

    Writes `pictures/` (the photos with the results drawn, under their own names),
    `predictions.json` (COCO's format of data sets, with scores), `predictions.csv` (one row per
    object, class or class of pixels), `predictions.jsonl` (one line per photo), and what the
    options ask for. Segmenters also write `masks/`, PNG files with class indices. Photos that
    cannot be read are skipped, counted and named. Ctrl-C leaves complete files of the photos so
    far; `resume=True` continues.

    Args:
        model: a run's folder, a checkpoint of any kind, an exported model, or `hf://user/repo`;
            or a predictor that `ev.load` has returned.
        photos: a photo; a folder, with all folders in it; a glob; a text file that lists photos; a
            sequence of paths; or a video.
        folder: output folder.
        **options: options of `PredictOptions`: `min_score_thresh`, `pictures`, `save_txt`, ...

    Returns:
        Counts by class, the photos that could not be read, and the files.

    Raises:
        UserError: an option is invalid, there are no photos, none can be read, or the folder has
            files of another origin.

    Example:
        >>> found = predict("runs/cells", "photos", save_prelabels="cvat")
        >>> found.counts
        {'RBC': 812, 'WBC': 37, 'Platelets': 40}
    """
    decided = predict_options({"folder": files.as_text(folder), **options})
    place = ""
    if isinstance(photos, (str, os.PathLike)):
        place = files.as_text(photos)
    elif videos := [path for path in map(files.as_text, photos) if _is_video(path)]:
        raise UserError(f"{videos[0]} is a video: predict it alone, without other `photos`.")
    if _is_video(place):
        from efficientvision.runs.predict_video import predict_video

        return predict_video(_load(model, decided), place, decided.folder, decided)
    if decided.track:
        raise UserError("`track` follows objects through a video, and `photos` is not one.")
    left_out = LeftOut()
    written = PredictionFiles(decided)
    found = find_photos(photos, written.folders, left_out)
    for reason, count in left_out.counted().items():
        log.info(f"{count} {reason}.")
    model = model if isinstance(model, Predictor) else local_path(model)
    predictor = _load(model, decided)
    asked = call_options(predictor, decided)
    written.begin(predictor)
    facts = _facts(model, _common_folder(found), predictor, decided)
    journal = Journal(files.join(decided.folder, JOURNAL_NAME), facts, resume=decided.resume)
    waiting = [photo for photo in found if photo.shown not in journal.done]
    if journal.done:
        log.info(f"{len(found) - len(waiting)} of {len(found)} photos have results already.")
    unread: dict[str, str] = {}
    try:
        _predict_all(predictor, waiting, written, journal, unread, decided, asked)
    except BaseException as error:
        journal.close()
        if next(journal.photos(), None) is None:
            written.discard()  # It must not stand in the way of the next try.
            raise
        if isinstance(error, KeyboardInterrupt):
            log.info("Interrupted: the results so far are kept; `resume=true` continues.")
        written.finish(predictor, journal, unread)
        raise
    journal.close()
    result = written.finish(predictor, journal, unread)
    if unread and not result.num_photos:
        photo, reason = next(iter(unread.items()))
        raise UserError(f"None of {len(unread)} photos can be read; the first, {photo}: {reason}")
    return result


def _is_video(path: str) -> bool:
    return path.lower().endswith(VIDEO_SUFFIXES)


def _load(model: AnyPath | Predictor, options: PredictOptions) -> Predictor:
    asked: dict[str, Any] = {
        "model": options.model_name,
        "hparams": options.hparams or None,
        "min_score_thresh": options.min_score_thresh,
        "tile": options.tile,
        "overlap": options.tile_overlap,
        "threads": options.threads or None,
        "trust": options.trust or None,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if isinstance(model, Predictor):
        if given:
            raise UserError(f"`{next(iter(given))}` is fixed in a predictor: set it in `ev.load`.")
        predictor = model
    else:
        grow_gpu_memory()
        predictor = load(model, **given)
    least, about = predictor.thresholds, ""
    if least is not None and not least.classes:  # Those by class are logged already.
        about = f", minimum score {least.described(predictor.class_names)}"
    log.info(f"{_name(model)}: {predictor!r}{about}")
    return predictor


def _name(model: AnyPath | Predictor) -> str:
    return model.metadata.model_name if isinstance(model, Predictor) else files.as_text(model)


def call_options(predictor: Predictor, options: PredictOptions) -> dict[str, Any]:
    """Returns the options of a call of the predictor.

    Raises:
        UserError: One does not apply to it.
    """
    asked = {"classes": options.class_list, "top_k": options.top_k}
    for name, value in asked.items():
        if value is not None and name not in predictor.call_options:
            raise UserError(f"`{name}` does not apply to {predictor.metadata.kind}: remove it.")
    if options.top_k and not (predictor.one_class or predictor.has_boxes):
        raise UserError(
            "`top_k` does not apply to a multi-label classifier, which gives every class of at "
            "least its minimum score: set `min_score_thresh`."
        )
    given = {name: value for name, value in asked.items() if value is not None}
    return {"top_k": 1, **given} if predictor.one_class else given


def _facts(
    model: AnyPath | Predictor, photos: str, predictor: Predictor, options: PredictOptions
) -> dict[str, Any]:
    """Facts that must be the same when a prediction is resumed."""
    least = predictor.thresholds
    return {
        "model": _name(model),
        "checkpoint": _checkpoint(model),
        "folder of the photos": photos,
        "classes": {str(number): name for number, name in predictor.class_names.items()},
        "minimum score": least and [least.default, {str(k): v for k, v in least.classes.items()}],
        **{f"`{name}`": getattr(options, name) for name in _FIXED_OPTIONS},
    }


def _checkpoint(model: AnyPath | Predictor) -> str | None:
    """Names the state of a model that may change under its path; None: unknown."""
    if isinstance(model, Predictor):
        return None
    path = files.as_text(model)
    if files.is_folder(path):
        return latest_checkpoint(path)
    return str(files.modified(path)) if files.is_file(path) else None


def _common_folder(photos: Sequence[NamedPhoto]) -> str:
    """Returns the folder that contains all photos."""
    folders = [os.path.dirname(files.absolute(photo.path)) for photo in photos]
    try:
        return os.path.commonpath(folders)
    except ValueError:  # Several drives of Windows.
        return ""


def _predict_all(
    predictor: Predictor,
    photos: Sequence[NamedPhoto],
    written: PredictionFiles,
    journal: Journal,
    unread: dict[str, str],
    options: PredictOptions,
    asked: dict[str, Any],
) -> None:
    batch_size = predictor.metadata.batch_size or options.batch_size
    opened = _read_ahead(photos, 2 * batch_size)
    with tqdm(total=len(photos), desc="predicting", unit="photo") as bar:
        while chunk := list(itertools.islice(opened, batch_size)):
            read: list[tuple[NamedPhoto, np.ndarray]] = []
            for photo, array, reason in chunk:
                if array is None:
                    unread[photo.shown] = reason
                    journal.add({"photo": photo.shown, "error": reason})
                else:
                    read.append((photo, array))
            arrays = [array for _, array in read]
            results = predictor(arrays, batch_size, **asked) if read else []
            for (photo, array), result in zip(read, results, strict=True):
                written.add(predictor, photo.name, array, result)
                height, width = result.origin.hw
                journal.add(
                    {
                        "photo": photo.shown,
                        "name": photo.name,
                        "width": int(width),
                        "height": int(height),
                        "annotations": result.annotations(),
                    }
                )
            bar.update(len(chunk))


class _Opened(NamedTuple):
    """A photo that was read, or the reason why it could not be."""

    photo: NamedPhoto
    array: np.ndarray | None
    reason: str = ""


def _open(photo: NamedPhoto) -> _Opened:
    try:
        return _Opened(photo, open_photo(photo.path))
    except UserError as error:
        return _Opened(photo, None, str(error))


def _read_ahead(photos: Iterable[NamedPhoto], ahead: int) -> Iterator[_Opened]:
    """Reads photos in order, at most `ahead` before they are needed."""
    waiting = iter(photos)
    with ThreadPoolExecutor(_READERS) as pool:
        queue: deque[Future[_Opened]] = deque()
        for photo in itertools.islice(waiting, ahead):
            queue.append(pool.submit(_open, photo))
        while queue:
            yield queue.popleft().result()
            for photo in itertools.islice(waiting, 1):
                queue.append(pool.submit(_open, photo))
