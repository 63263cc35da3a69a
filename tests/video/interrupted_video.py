"""Program: runs a video through the pipeline; at the tenth frame, signals come.

Usage: interrupted_video.py SOURCE TARGET SIGNAL... Prints how many frames were shown and whether
the pipeline was interrupted; fails where the signals' handlers do not come back.
"""

import os
import signal
import sys

from PIL import Image

from efficientvision.video.pipeline import process
from efficientvision.video.reader import Reader
from efficientvision.video.source import VideoSource
from efficientvision.video.writer import writing_video
from tests.video.made_video import number_of

path, target, *signals = sys.argv[1:]
before = [signal.getsignal(int(number)) for number in signals]
video = VideoSource(path, with_audio=True)


class Empty:
    """A frame without objects."""

    names = ()


def detect(frames):
    if frames[0].any() and number_of(frames[0]) == 10:
        for number in signals:
            os.kill(os.getpid(), int(number))
    return [Empty() for _ in frames]


def draw(frame, detections):
    return Image.fromarray(frame)


with Reader(video) as reader, writing_video(target, video) as writer:
    outcome = process(reader, detect, draw, [writer], progress=False)
assert before == [signal.getsignal(int(number)) for number in signals]
print(outcome.frames, outcome.interrupted)
