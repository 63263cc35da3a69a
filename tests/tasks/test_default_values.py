"""Defaults from the data, as functions of the number of photos, sizes, boxes and memory."""

import itertools
import math

import numpy as np
import pytest

from efficientvision.tasks.default_values import (
    BACKBONE,
    CHECKPOINT,
    LARGEST_BATCH,
    MOST_PASSES,
    RANDOM,
    DataFacts,
    Machine,
    adam_rate,
    batch_size,
    common_aspect,
    detector_input,
    epoch_length,
    optimizer,
    passes_needed,
    recipe_choices,
    smallest_objects,
)
from efficientvision.training.averaging import ramp_up
from efficientvision.training.schedules import build_schedule

GIB = 2.0**30


def facts(width=640, height=480, photos=20, boxes=((0.1, 0.1, 0.5, 0.5),), classes=(1,)):
    """Every photo has all boxes."""
    return DataFacts(
        photos,
        np.tile([[height, width]], (photos, 1)),
        np.tile(np.array(boxes, float), (photos, 1)),
        np.tile(classes, photos),
        np.repeat(np.arange(photos), len(boxes)),
        max(classes),
    )


@pytest.mark.parametrize("start", [RANDOM, BACKBONE, CHECKPOINT])
def test_few_photos_are_seen_more_often_but_not_without_end(start):
    passes = [passes_needed(n, start)[0] for n in (1, 20, 205, 1000, 10_000, 1_000_000)]
    assert passes == sorted(passes, reverse=True)
    assert passes[0] == MOST_PASSES and passes[-1] >= 12
    seen = [n * p for n, p in zip((205, 1000, 10_000), passes[2:5], strict=True)]
    assert seen == sorted(seen)
    assert passes_needed(205, start)[0] <= passes_needed(205, RANDOM)[0]


@pytest.mark.parametrize("passes", [1, 9, 36, 98, 300])
def test_epochs_end_about_ten_times_and_stay_short_of_what_preflight_warns_of(passes):
    each, epochs = epoch_length(passes)
    assert 1 <= each <= 20
    assert each * epochs == pytest.approx(passes, rel=0.1)
    assert epochs >= min(passes, 9)


def test_a_batch_fits_and_is_shared_evenly():
    sets = itertools.product(LARGEST_BATCH, (1, 2, 8), (1, 7, 205, 5000, 118_000))
    for device, replicas, photos in sets:
        machine = Machine(device, replicas, 16 * GIB)
        images = photos * passes_needed(photos, RANDOM)[0]
        batch, reason = batch_size(photos, images, machine, fixed_bytes=GIB, image_bytes=GIB)
        assert batch % replicas == 0
        assert batch <= max(replicas, photos)
        assert batch // replicas * GIB + GIB <= 16 * GIB
        assert batch <= LARGEST_BATCH[device] * replicas
        assert "16.0 GiB" in reason and ("devices" in reason) == (replicas > 1)


def test_what_limits_a_batch_is_said():
    roomy, small = Machine("GPU", 1, 80 * GIB), Machine("GPU", 1, 8 * GIB)
    need = {"fixed_bytes": GIB, "image_bytes": GIB}
    assert batch_size(100_000, 3_600_000, roomy, **need)[0] == 64
    batch, reason = batch_size(100_000, 3_600_000, small, **need)
    assert batch == 4 and "memory" in reason and "5.0 GiB of 8.0 GiB" in reason
    batch, reason = batch_size(205, 20_295, roomy, **need)
    assert batch == 8 and "1,400 steps" in reason
    assert batch_size(3, 900, roomy, **need) == (2, "3 photos; needs about 3.0 GiB of 80.0 GiB")
    assert batch_size(100_000, 3_600_000, Machine("TPU", 8), **need)[0] == 512
    # Not even one image fits: the run may still try, and says what it needs.
    assert batch_size(205, 20_295, Machine("CPU", 1, 0.5 * GIB), **need)[0] == 1
    assert batch_size(205, 20_295, roomy, micro_batches=3, **need)[0] == 12


def test_the_optimizer_is_for_the_length_unless_the_rate_says_otherwise():
    assert optimizer(2500, None)[0] == "adam"
    assert optimizer(50_000, None)[0] == "sgd"
    assert optimizer(2500, 0.08)[0] == "sgd"
    assert optimizer(2500, 1e-3)[0] == "adam"
    rates = [adam_rate(batch, (2e-3, 8))[0] for batch in (1, 4, 8, 16, 64, 512)]
    assert rates == sorted(rates) and rates[2] == 2e-3 and rates[-1] <= 4e-3
    assert adam_rate(8, (2e-3, 8), 0.25)[0] == 5e-4


@pytest.mark.parametrize("steps", [100, 2536, 20_000, 200_000])
@pytest.mark.parametrize("epochs", [1, 11])
def test_the_schedule_of_the_choices_warms_up_and_ends_at_zero(steps, epochs):
    chosen = recipe_choices(
        steps, epochs, decay=0.9998, momentum=0.99, adam=steps < 20_000, warmup_init=0.008
    )
    values = {choice.name: choice.value for choice in chosen}
    schedule = build_schedule(
        method=values["lr_decay_method"],
        learning_rate=0.01,
        scale=False,
        batch_size=8,
        steps_per_epoch=steps / epochs,
        num_epochs=epochs,
        warmup_epochs=values["lr_warmup_epoch"],
        warmup_init=values["lr_warmup_init"],
        first_drop_epoch=1,
        second_drop_epoch=2,
        power=0.9,
    )
    assert schedule.warmup_steps <= max(7, 0.08 * steps) and schedule.warmup_steps <= 501
    assert float(schedule(schedule.total_steps)) == pytest.approx(0, abs=1e-9)
    assert float(schedule(steps - 1)) < 0.01 * 0.01
    assert 10 / (1 - values.get("bn_momentum", 0.99)) <= steps * 1.001
    (averages,) = (c.reason for c in chosen if c.name == "moving_average_decay")
    memory = 1 / (1 - min(0.9998, ramp_up(steps)))
    said = float(averages.split("last ")[1].split(" of")[0].replace(",", ""))
    assert math.isclose(said, memory, rel_tol=0.1)


def test_an_input_has_the_photos_shape_and_room_for_the_smallest_objects():
    # 38 of 640 pixels: 19 at 320.
    cells = facts(boxes=((0, 0, 38 / 480, 38 / 640), (0, 0, 0.5, 0.5)), classes=(1, 2))
    assert smallest_objects(cells)[0] == 1
    assert smallest_objects(cells)[1] == pytest.approx(38 / 640)
    for published, device, size in ((320, "CPU", "320x240"), (512, "CPU", "320x240")):
        choice = detector_input(cells, published, device, {1: "Platelets"})
        assert choice.value == size
        assert "640x480" in choice.reason and "Platelets, are 19 pixels" in choice.reason
    assert detector_input(cells, 512, "GPU", {}).value == "512x384"
    tiny = facts(2560, 1440, boxes=((0, 0, 20 / 1440, 20 / 2560),))
    assert detector_input(tiny, 512, "GPU", {}).value == "1024x576"
    assert detector_input(tiny, 512, "CPU", {}).value == "768x432"
    # Photos are not enlarged beyond what was published.
    assert detector_input(facts(200, 200, boxes=((0, 0, 0.02, 0.02),)), 320, "CPU", {}).value == (
        "320"
    )
    assert "unknown" in detector_input(DataFacts(5), 512, "CPU", {}).reason


def test_the_shape_of_most_photos():
    landscape, portrait = [480, 640], [640, 480]
    assert common_aspect(np.array([landscape] * 9 + [portrait])) == pytest.approx(4 / 3)
    assert common_aspect(np.array([portrait] * 10)) == pytest.approx(3 / 4)
    assert common_aspect(np.array([landscape, portrait] * 5)) == 1
    assert common_aspect(np.array([[500, 520]] * 5)) == 1
    assert common_aspect(np.array([[100, 900]] * 5)) == 2
    assert common_aspect(np.zeros((0, 2))) == 1
