"""Confidence intervals: how far a metric depends on which images were evaluated.

The images are resampled with replacement, as if the data set had been collected again (the
bootstrap; Efron, Annals of Statistics 7(1), 1979), and the metric is computed again each time.
Nothing is trained again: how far a metric depends on the training is what several seeds show.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from efficientvision.evaluation.shown import shown_metric

INTERVALS_NAME = "intervals.json"
LEVEL = 0.95
RESAMPLES = 1000
# Sets with fewer images are warned of.
FEW_IMAGES = 200
# Of more items than these, fewer resamples are drawn, so that all of them take a few seconds.
_ITEMS = 160_000
_LEAST_RESAMPLES = 100
_SEED = 0
_Z = 1.959963984540054  # Of the normal distribution at `LEVEL`.


class Interval(NamedTuple):
    """The limits of a metric."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class PerImage:
    """Results of each image, from which follow the metrics of any selection of the images.

    Attributes:
        num_images: N.
        metrics: Weights int64 [N], how often each image counts -> metrics by name. All ones give
            the metrics of the evaluation. Undefined metrics are left out, or NaN.
        items: Number of values that `metrics` handles; decides the number of resamples.
        shares: Metrics that are the share of images that are right; their interval is Wilson's.
    """

    num_images: int
    metrics: Callable[[np.ndarray], Mapping[str, float]]
    items: int = 0
    shares: tuple[str, ...] = ()

    @property
    def resamples(self) -> int:
        """Number of resamples: fewer for large sets."""
        affordable = RESAMPLES * _ITEMS // max(self.items, 1)
        return min(RESAMPLES, max(_LEAST_RESAMPLES, affordable // 50 * 50))


@dataclasses.dataclass(frozen=True)
class Intervals:
    """The confidence intervals of an evaluation.

    Attributes:
        images: Number of images.
        resamples: Number of resamples.
        of: Metric -> its interval.
        level: Confidence level, 0..1.
    """

    images: int
    resamples: int
    of: Mapping[str, Interval]
    level: float = LEVEL

    def table(self) -> dict[str, Any]:
        """The content of `intervals.json`."""
        return {**dataclasses.asdict(self), "of": {k: list(v) for k, v in self.of.items()}}

    def file_text(self) -> str:
        """The text of `intervals.json`."""
        return json.dumps(self.table(), indent=1, ensure_ascii=False) + "\n"

    def described(self, name: str) -> str:
        """The interval of a metric in words: `95 % interval 50.3 to 60.2`; empty: it has none."""
        if name not in self.of:
            return ""
        return f"{self.level:.0%} interval {shown_interval(name, self.of[name])}"

    def explained(self) -> str:
        """In plain words, what the intervals mean and what they leave out."""
        wide = ""
        if self.images < FEW_IMAGES:
            wide = f"With only {self.images:,} images the intervals are wide. "
        fewer = "" if self.resamples == RESAMPLES else " (fewer than usual, as the set is large)"
        return (
            f"{self.level:.0%} intervals from {self.resamples:,} resamples of the {self.images:,} "
            f"images{fewer}: other photos of the same kind would mostly give a value inside. "
            f"{wide}They do not include the chance of training: train with several seeds to see "
            "that."
        )

    def report(self, names: Sequence[str]) -> str:
        """A readable table of the intervals of these metrics, then what they mean."""
        width = max(24, *(len(name) for name in names))
        lines = [f"{f'{self.level:.0%} interval':<{width}}  from     to"]
        for name in names:
            if name in self.of:
                low, high = (shown_metric(name, value) for value in self.of[name])
                lines.append(f"{name:<{width}}  {low:>4}   {high:>4}")
        return "\n".join([*lines, self.explained()])


def read_intervals(table: Mapping[str, Any] | None) -> Intervals | None:
    """The reverse of `Intervals.table`; None without a table.

    Raises:
        ValueError: The table is damaged.
    """
    if not table:
        return None
    try:
        of = {name: Interval(float(low), float(high)) for name, (low, high) in table["of"].items()}
        return Intervals(int(table["images"]), int(table["resamples"]), of, float(table["level"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no confidence intervals: {error}") from error


def shown_interval(name: str, interval: Interval) -> str:
    """An interval for a message: `50.3 to 60.2`."""
    return " to ".join(shown_metric(name, value) for value in interval)


def resampled_weights(num_images: int, resamples: int, seed: int = _SEED) -> Iterator[np.ndarray]:
    """Yields, `resamples` times, how often each image was drawn: int64 [num_images]."""
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = rng.integers(0, num_images, num_images)
        yield np.bincount(drawn, minlength=num_images)


def confidence_intervals(results: PerImage) -> Intervals:
    """Computes percentile intervals of all metrics, and Wilson's of `PerImage.shares`.

    The same images give the same intervals: the random numbers are fixed.
    """
    count = results.num_images
    values = results.metrics(np.ones(count, np.int64))
    names = [name for name, value in values.items() if math.isfinite(value)]
    drawn: dict[str, list[float]] = {name: [] for name in names if name not in results.shares}
    if drawn:
        for weights in resampled_weights(count, results.resamples):
            found = results.metrics(weights)
            for name, sample in drawn.items():
                sample.append(found.get(name, math.nan))
    of = {
        name: wilson(values[name], count) if name in results.shares else percentiles(drawn[name])
        for name in names
    }
    return Intervals(count, results.resamples, of)


def percentiles(sample: Sequence[float] | np.ndarray) -> Interval:
    """The middle `LEVEL` of a sample; NaN (the metric is undefined for the images drawn) is left
    out.
    """
    tail = 50 * (1 - LEVEL)
    known = np.asarray(sample, float)
    known = known[np.isfinite(known)]
    if not len(known):
        return Interval(math.nan, math.nan)
    low, high = np.percentile(known, [tail, 100 - tail])
    return Interval(float(low), float(high))


def wilson(share: float, count: int) -> Interval:
    """Interval of a share of `count` images (Wilson, JASA 22, 1927), also right near 0 and 1."""
    z2 = _Z * _Z
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


class Difference(NamedTuple):
    """The difference of a metric between two models on the same images.

    Attributes:
        first, second: The metric of each; of several runs, the mean.
        interval: Interval of the second less the first.
    """

    first: float
    second: float
    interval: Interval

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0: the difference is larger than chance."""
        return self.interval.low > 0 or self.interval.high < 0


def paired_differences(
    first: Sequence[PerImage], second: Sequence[PerImage]
) -> dict[str, Difference]:
    """Compares two models, each trained once or with several seeds, on the same images.

    Both get the same resamples of the images, so that what is hard for both cancels out. Of several
    runs, the runs are resampled too, scaled so that their variance is not underestimated (a sample
    of n varies by (n - 1) / n of the truth).

    Args:
        first, second: Results of each run on the same images in the same order.

    Returns:
        Metric -> difference, for metrics that all runs have.
    """
    count = first[0].num_images
    once = np.ones(count, np.int64)
    whole = [[run.metrics(once) for run in side] for side in (first, second)]
    every = [metrics for side in whole for metrics in side]
    names = [name for name in every[0] if all(math.isfinite(m.get(name, math.nan)) for m in every)]
    resamples = min(run.resamples for run in (*first, *second))
    rng = np.random.default_rng(_SEED + 1)
    drawn = np.zeros((resamples, len(names)))
    for row, weights in enumerate(resampled_weights(count, resamples)):
        sides = []
        for side in (first, second):
            found = [run.metrics(weights) for run in side]
            values = np.array([[m.get(name, math.nan) for name in names] for m in found])
            mean = values.mean(axis=0)
            if len(side) > 1:
                chosen = values[rng.integers(0, len(side), len(side))].mean(axis=0)
                mean = mean + (chosen - mean) * math.sqrt(len(side) / (len(side) - 1))
            sides.append(mean)
        drawn[row] = sides[1] - sides[0]
    means = [{n: float(np.mean([m[n] for m in side])) for n in names} for side in whole]
    return {
        name: Difference(means[0][name], means[1][name], percentiles(drawn[:, column]))
        for column, name in enumerate(names)
    }
