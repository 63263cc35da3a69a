"""`ev.predict` on a video: a drawn video and a table, or tracks."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import logging
import os
from typing import Any, NamedTuple

from PIL import Image

from efficientvision import files
from efficientvision.configs.predict_options import PredictOptions
from efficientvision.configs.track_options import TrackSettings, track_settings
from efficientvision.data.names import printable
from efficientvision.errors import UserError
from efficientvision.output_folder import check_output_folder
from efficientvision.runs.predict import call_options
from efficientvision.runs.prediction_files import Predictions
from efficientvision.runs.video_tracks import VideoTracks, writing_tracks
from efficientvision.tasks.predictor import PhotoResult, Predictor
from efficientvision.video.pipeline import Outcome, Sink, process
from efficientvision.video.reader import Reader
from efficientvision.video.source import Frame, VideoSource
from efficientvision.video.writer import SUFFIXES, writing_video

log = logging.getLogger(__name__)

# Supports the sound of any video.
_OTHER_SUFFIX = ".mkv"
_OF_PHOTOS = ("save_txt", "save_conf", "save_crops", "save_prelabels", "resume")


@dataclasses.dataclass(frozen=True, repr=False)
class VideoPredictions(Predictions):
    """The results of a video; `num_photos` is its number of frames.

    Without tracks, `counts` has the number of detections in all frames, or of frames with the
    class; with tracks, the number of objects.

    Attributes:
        seconds: time it took, from the first frame on.
        crossings: crossings `in` and `out` of the counting line, by class; None: no line.
    """

    seconds: float = 0.0
    crossings: dict[str, dict[str, int]] | None = None

    def __repr__(self) -> str:
        return f"<VideoPredictions {self.folder}: {self.num_photos} frames, {self.counts}>"


def predict_video(
    predictor: Predictor, path: str, folder: str, options: PredictOptions
) -> VideoPredictions:
    """Runs a model on every frame of a video.

    Writes the video with the results drawn, under its own name and with its sound, and
    `predictions.csv` with the results of every frame. With `options.track`, the objects have
    numbers and trails, and the tables are `<video>_tracks.csv`, `<video>_tracks.txt`
    (MOTChallenge's format) and `<video>_tracks.json` (each track once, and counts).

    Args:
        predictor: The model.
        path: The video.
        folder: Output folder.
        options: The user's options.

    Raises:
        UserError: An option does not apply, the video cannot be read, or results exist already.
        KeyboardInterrupt: It was interrupted; the files hold the frames so far.
    """
    settings = track_settings(options)
    _check(predictor, path, options, settings)
    check_output_folder("folder", folder)
    stem, suffix = os.path.splitext(files.base_name(path))
    prefix = files.join(folder, stem)
    video = prefix + (suffix.lower() if suffix.lower() in SUFFIXES else _OTHER_SUFFIX)
    draws = options.pictures and predictor.frame_options is not None
    if options.pictures and not draws:
        log.info(f"Results of {predictor.metadata.kind} are not drawn into frames: only tables.")
    tables = [f"{prefix}_tracks{end}" for end in (".csv", ".txt", ".json")]
    written = (tables if settings else [f"{prefix}_predictions.csv"]) + [video] * draws
    _check_new(path, written, options)
    with contextlib.ExitStack() as closing:
        source = VideoSource(path, with_audio=draws)
        reader = closing.enter_context(Reader(source))
        sinks: list[Sink] = [closing.enter_context(writing_video(video, source))] if draws else []
        tracks = None
        if settings is not None:
            table = closing.enter_context(writing_tracks(prefix))
            tracks = VideoTracks(settings, source, table)
        else:
            sinks.append(closing.enter_context(_FrameTable(written[0], predictor, source)))
        outcome = _run(predictor, reader, sinks, options, tracks, draws=draws)
        if not outcome.frames:
            raise KeyboardInterrupt  # Before the first frame: a file without frames is no video.
        if tracks is not None:
            table.write_summary({"video": files.base_name(path), **tracks.summary()})
    _report(path, source, outcome, tracks, predictor.counted, written)
    if outcome.interrupted:
        raise KeyboardInterrupt
    counts = tracks.counts() if tracks else dict(outcome.objects.most_common())
    names = ["tracks", "MOTChallenge", "summary"] if settings else ["table"]
    return VideoPredictions(
        folder,
        outcome.frames,
        counts,
        {},
        dict(zip([*names, "video"], written, strict=False)),
        outcome.seconds,
        tracks.crossings() if tracks else None,
    )


def _run(
    predictor: Predictor,
    reader: Reader,
    sinks: list[Sink],
    options: PredictOptions,
    tracks: VideoTracks | None,
    *,
    draws: bool,
) -> Outcome:
    batch_size = predictor.metadata.batch_size or options.batch_size
    asked = call_options(predictor, options)
    names = ("line_thickness", "max_boxes_to_draw") if tracks else predictor.draw_options
    shown: dict[str, Any] = {name: getattr(options, name) for name in names}
    shown = {name: value for name, value in shown.items() if value}
    if not tracks:
        shown |= predictor.frame_options or {}

    def draw(rgb: Any, found: Any) -> Image.Image | None:
        if not draws:
            return None
        return tracks.draw(rgb, found, **shown) if tracks else predictor.draw(rgb, found, **shown)

    def follow(frame: Frame, found: Any) -> Any:
        if tracks:
            return tracks.follow(frame, found)
        return found if hasattr(found, "names") else _FrameResult.of(found, predictor)

    return process(
        reader,
        lambda frames: predictor(list(frames), batch_size, **asked),
        draw,
        sinks,
        batch_size=batch_size,
        follow=follow,
    )


class _FrameResult(NamedTuple):
    """The result for a frame of a model, such as a classifier, whose results list no names."""

    names: list[str]
    found: list[dict[str, Any]]

    def annotations(self) -> list[dict[str, Any]]:
        return self.found

    @classmethod
    def of(cls, result: PhotoResult, predictor: Predictor) -> _FrameResult:
        found = result.annotations()
        numbers = [one["category_id"] for one in found]
        return cls([predictor.class_names.get(n, f"class {n}") for n in numbers], found)


def _check(
    predictor: Predictor, path: str, options: PredictOptions, settings: TrackSettings | None
) -> None:
    for name in _OF_PHOTOS:
        if getattr(options, name):
            raise UserError(f"`{name}` is for photos, and {path} is a video: remove it.")
    if settings is not None and not predictor.has_boxes:
        raise UserError(
            f"`track` needs boxes, and the model is {predictor.metadata.kind}: remove it."
        )


def _check_new(path: str, written: list[str], options: PredictOptions) -> None:
    for target in written:
        if not files.exists(target):
            continue
        if files.exists(path) and files.absolute(target) == files.absolute(path):
            raise UserError(
                f"`folder={options.folder}` is the folder of the video {path}: choose another one."
            )
        if not options.overwrite:
            raise UserError(
                f"{target} exists: choose another `folder`, or replace it with `overwrite=true`."
            )


class _FrameTable:
    """`predictions.csv` of a video: frame, seconds, and the columns of the task."""

    def __init__(self, path: str, predictor: Predictor, source: VideoSource):
        self._path = path
        self._predictor = predictor
        self._time_base = source.time_base
        self._hw = (source.height, source.width)
        self._frames = 0

    def __enter__(self) -> _FrameTable:
        self._closing = contextlib.ExitStack()
        file = self._closing.enter_context(files.writing(self._path))
        text = io.TextIOWrapper(file, "utf-8", newline="")
        self._closing.callback(text.detach)
        self._writer = csv.writer(text, lineterminator="\n")
        self._writer.writerow(("frame", "seconds", *self._predictor.table_columns))
        return self

    def __exit__(self, *error: Any) -> None:
        self._closing.__exit__(*error)

    def show(self, frame: Frame, picture: Image.Image, detections: PhotoResult) -> None:
        """Adds the results of a frame."""
        self._frames += 1
        seconds = f"{float(frame.pts * self._time_base):.3f}"
        for one in detections.annotations():
            cells = self._predictor.table_row(one, self._hw)
            shown = [printable(c) if isinstance(c, str) else c for c in cells]
            self._writer.writerow([self._frames, seconds, *shown])


def _report(
    path: str,
    source: VideoSource,
    outcome: Outcome,
    tracks: VideoTracks | None,
    counted: str,
    written: list[str],
) -> None:
    if outcome.interrupted:
        log.info(f"Interrupted after {outcome.frames} frames: the files hold those.")
    log.info(f"{path}: {outcome.frames} frames in {outcome.seconds:.1f} s ({outcome.rate:.1f}/s).")
    if tracks is not None:
        for line in tracks.lines():
            log.info(line)
    else:
        found = [f"{name} {count}" for name, count in outcome.objects.most_common()]
        log.info(f"{counted}: {', '.join(found) or 'none'}")
    if source.audio_left_out:
        log.info(f"{source.audio_left_out} audio tracks in unknown formats were not copied.")
    if source.broken:
        log.info(f"{source.broken} damaged frames were skipped.")
    if source.ended_early and not outcome.interrupted:
        log.info(f"{path} ended early: {source.ended_early}.")
    log.info(f"Written: {', '.join(printable(name) for name in written)}.")
