"""--runmode=saved_model_video: draws boxes or class maps on a video, to a file or live page."""

import os
import sys
import webbrowser
from contextlib import ExitStack

from efficientvision.classifier import Classifier
from efficientvision.cli import INTERRUPTED
from efficientvision.cli.inspect_saved_model_infer import open_export
from efficientvision.cli.photo_look import DetectorLook, Model, PhotoLook, SegmenterLook, in_memory
from efficientvision.detector import Detector
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export
from efficientvision.runs.inspect_settings import InspectSettings
from efficientvision.video.live_page import LivePage
from efficientvision.video.pacing import Pacing
from efficientvision.video.pipeline import Outcome, Sink, process
from efficientvision.video.reader import Reader
from efficientvision.video.source import VideoSource
from efficientvision.video.writer import writing_video

_MOST_CLASSES = 10


def run(settings: InspectSettings) -> int | None:
    """Runs the model on --input_video, to --output_video or a live page.

    The model is --saved_model_dir, or --ckpt_path if that does not exist.

    Returns:
        The exit code: 130 if a file was interrupted; a camera always ends that way.
    """
    address = settings.need("input_video", "saved_model_video")
    exported = bool(settings.saved_model_dir) and is_export(settings.saved_model_dir)
    if settings.ckpt_path is None:
        settings.need_export(otherwise=", or name --ckpt_path")
    with ExitStack() as closing:
        # Opened before the network, so that mistakes in the videos are reported at once.
        source = VideoSource(address, with_audio=bool(settings.output_video))
        reader = closing.enter_context(Reader(source))
        sinks = _open_sinks(settings, source, closing)
        look = _look(_load_export(settings) if exported else _load_checkpoint(settings), settings)
        outcome = process(reader, look.find, look.draw, sinks, batch_size=look.batch_size)
        if outcome.frames == 0:
            raise KeyboardInterrupt  # Before the first frame: a file without frames is no video.
    counted = (
        "Objects in all frames" if isinstance(look, DetectorLook) else "Frames with each class"
    )
    _report(settings, reader, outcome, counted)
    return INTERRUPTED if outcome.interrupted and not source.endless else None


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


def _load_export(settings: InspectSettings) -> Model:
    unused = [f"--{name}" for name in ("ckpt_path", "input_image_size") if getattr(settings, name)]
    without = f"; no effect: {', '.join(unused)}" if unused else ""
    print(f"Using the exported model {settings.saved_model_dir}{without}")
    return open_export(settings)


def _load_checkpoint(settings: InspectSettings) -> Model:
    print(
        f"No exported model in {settings.saved_model_dir or '--saved_model_dir'}: using the "
        f"checkpoint {settings.ckpt_path} (export it with --runmode=saved_model)"
    )
    return in_memory(settings.load(), settings)


def _look(model: Model, settings: InspectSettings) -> PhotoLook:
    """How the model's results are drawn in frames, whose size does not change.

    Raises:
        UserError: It is a classifier, whose results are drawn beside a photo.
    """
    if isinstance(model, Classifier):
        raise UserError(
            "--runmode=saved_model_video is for detectors and segmenters, and "
            f"{model.metadata.model_name} is a classifier: use --runmode=infer with photos"
        )
    if isinstance(model, Detector):
        return DetectorLook(model, settings)
    return SegmenterLook(model, settings, legend="inside")


def _report(settings: InspectSettings, reader: Reader, outcome: Outcome, counted: str) -> None:
    """Prints what was written, the speed, the classes found (`counted`) and what was skipped."""
    source = reader.source
    if outcome.interrupted:
        print(f"Interrupted after {outcome.frames} frames")
    if settings.output_video:
        sound = " with its sound" if source.audio_streams else ""
        print(f"{settings.output_video}: {source.width}x{source.height}{sound}")
    print(f"{outcome.frames} frames in {outcome.seconds:.1f} s: {outcome.rate:.1f} frames/s")
    if outcome.objects:
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
