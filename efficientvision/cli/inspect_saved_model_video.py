"""--runmode=saved_model_video: draws boxes or class maps on a video, to a file or live page."""

import os
import sys
import webbrowser
from contextlib import ExitStack
from typing import Any

from efficientvision.cli import INTERRUPTED
from efficientvision.cli.inspect_infer import batch_size_of, load_predictor
from efficientvision.cli.inspect_saved_model_infer import open_export
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.track_options import track_settings
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export
from efficientvision.runs import inspection
from efficientvision.runs.video_tracks import VideoTracks, writing_tracks
from efficientvision.tasks.choice import tasks_that
from efficientvision.tasks.predictor import Predictor
from efficientvision.video.live_page import LivePage
from efficientvision.video.pacing import Pacing
from efficientvision.video.pipeline import Outcome, Sink, process
from efficientvision.video.reader import Reader
from efficientvision.video.source import VideoSource
from efficientvision.video.writer import writing_video

_MOST_CLASSES = 10
# Options that draw tracks.
_TRACK_OPTIONS = ("line_thickness", "max_boxes_to_draw")


def run(settings: InspectSettings) -> int | None:
    """Runs the model on --input_video, to --output_video or a live page.

    The model is --saved_model_dir, or --ckpt_path if that does not exist.

    Returns:
        The exit code: 130 if a file was interrupted; a camera always ends that way.
    """
    address = settings.need("input_video", "saved_model_video")
    exported = bool(settings.saved_model_dir) and is_export(settings.saved_model_dir)
    if settings.ckpt_path is None:
        inspection.need_export(settings, otherwise=", or name --ckpt_path")
    tracking = track_settings(settings)
    with ExitStack() as closing:
        # Opened before the network, so that mistakes in the videos are reported at once.
        source = VideoSource(address, with_audio=bool(settings.output_video))
        reader = closing.enter_context(Reader(source))
        sinks = _open_sinks(settings, source, closing)
        predictor = _load_export(settings) if exported else _load_checkpoint(settings)
        options = _frame_options(predictor, settings)
        batch_size = batch_size_of(predictor, settings)
        tracks = table = None
        if tracking is not None:
            _check_boxes(predictor)
            if settings.output_video:
                prefix = os.path.splitext(settings.output_video)[0]
                table = closing.enter_context(writing_tracks(prefix))
            tracks = VideoTracks(tracking, source, table)
            options = {name: options[name] for name in _TRACK_OPTIONS if options.get(name)}
        drawer = tracks or predictor
        outcome = process(
            reader,
            lambda frames: predictor(list(frames), batch_size=batch_size),
            lambda frame, found: drawer.draw(frame, found, **options),
            sinks,
            batch_size=batch_size,
            follow=tracks.follow if tracks else None,
        )
        if outcome.frames == 0:
            raise KeyboardInterrupt  # Before the first frame: a file without frames is no video.
        if tracks is not None and table is not None:
            table.write_summary({"video": source.name, **tracks.summary()})
    _report(settings, reader, outcome, predictor.counted, tracks)
    if table is not None:
        print(f"Written: {', '.join(table.paths)}")
    return INTERRUPTED if outcome.interrupted and not source.endless else None


def _check_boxes(predictor: Predictor) -> None:
    if not predictor.has_boxes:
        raise UserError(f"`track` needs boxes, and the model is {predictor.metadata.kind}")


def _open_sinks(settings: InspectSettings, source: VideoSource, closing: ExitStack) -> list[Sink]:
    """Opens the file or the page, or both if --live_port is set."""
    if settings.output_video:
        sinks: list[Sink] = [closing.enter_context(writing_video(settings.output_video, source))]
        if settings.live_port is None:
            return sinks
    else:
        sinks = [] if source.endless else [Pacing(source.time_base)]
    page = closing.enter_context(LivePage(source.name, settings.live_port))
    print(
        f"Live at {page.url} (from another machine: ssh -L {page.port}:127.0.0.1:{page.port} HOST, "
        "then open the same address there); stop with Ctrl-C",
        flush=True,
    )
    _open_window(page.url)
    return [*sinks, page]


def _open_window(url: str) -> None:
    """Opens the page in a browser if there is a local display."""
    # Otherwise it would be a text browser, or one on a forwarded display.
    has_display = not sys.platform.startswith("linux") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if has_display and not os.environ.get("SSH_CONNECTION"):
        webbrowser.open(url)


def _load_export(settings: InspectSettings) -> Predictor:
    unused = [f"--{name}" for name in ("ckpt_path", "input_image_size") if getattr(settings, name)]
    without = f"; no effect: {', '.join(unused)}" if unused else ""
    print(f"Using the exported model {settings.saved_model_dir}{without}")
    return open_export(settings)


def _load_checkpoint(settings: InspectSettings) -> Predictor:
    print(
        f"No exported model in {settings.saved_model_dir or '--saved_model_dir'}: using the "
        f"checkpoint {settings.ckpt_path} (export it with --runmode=saved_model)"
    )
    return load_predictor(settings)


def _frame_options(predictor: Predictor, settings: InspectSettings) -> dict[str, Any]:
    """Returns the options that draw results in frames, whose size does not change.

    Raises:
        UserError: The results are drawn beside a photo.
    """
    if predictor.frame_options is None:
        able = tasks_that(lambda task: task.predictor_class.frame_options is not None)
        raise UserError(
            f"--runmode=saved_model_video is for {able}, and "
            f"{predictor.metadata.model_name} is {predictor.metadata.kind}: use --runmode=infer "
            "with photos"
        )
    shown = {name: getattr(settings, name) for name in predictor.draw_options}
    return shown | predictor.frame_options


def _report(
    settings: InspectSettings,
    reader: Reader,
    outcome: Outcome,
    counted: str,
    tracks: VideoTracks | None,
) -> None:
    """Prints what was written, the speed, the classes found (`counted`) and what was skipped."""
    source = reader.source
    if outcome.interrupted:
        print(f"Interrupted after {outcome.frames} frames")
    if settings.output_video:
        sound = " with its sound" if source.audio_streams else ""
        print(f"{settings.output_video}: {source.width}x{source.height}{sound}")
    print(f"{outcome.frames} frames in {outcome.seconds:.1f} s: {outcome.rate:.1f} frames/s")
    if tracks is not None:
        print("\n".join(tracks.lines()))
    elif outcome.objects:
        named = [f"{name} {n}" for name, n in outcome.objects.most_common(_MOST_CLASSES)]
        more = len(outcome.objects) - len(named)
        print(f"{counted}: {', '.join(named)}{f', and {more} more classes' * bool(more)}")
    if source.audio_left_out:
        print(f"{source.audio_left_out} audio tracks in formats unknown to FFmpeg were not copied")
    if source.broken:
        print(f"{source.broken} damaged frames were skipped")
    if reader.dropped:
        print(f"{reader.dropped} camera frames were dropped: they came faster than the model runs")
    if source.ended_early and not outcome.interrupted:
        print(f"{source.name} ended early: {source.ended_early}")
