"""Early stopping: when it asks for the end, and that a resumed run goes on counting."""

from types import SimpleNamespace

from efficientvision.training.early_stopping import EarlyStopping
from efficientvision.training.run_log import RESULTS_NAME
from efficientvision.training.tables import write_table


def trainer(folder, step=0):
    return SimpleNamespace(model_dir=str(folder), state=SimpleNamespace(step=step))


def stops_after(stopping, values, first=1):
    """Evaluates these values at steps 10, 20, ...; the step of the end, or None."""
    for number, value in enumerate(values, start=first):
        stopping.evaluated(number * 10, {"AP": value}, None, report="", best=False)
        if stopping.should_stop():
            return number * 10
    return None


def test_ends_when_the_patience_is_over(tmp_path):
    stopping = EarlyStopping("AP", patience=2)
    stopping.begin(trainer(tmp_path))
    assert stops_after(stopping, [0.1, 0.3, 0.2, 0.31, 0.31, 0.2, 0.9]) == 60
    sentence = stopping.should_stop()
    assert "AP has not improved" in sentence and "step 40: 31.0" in sentence


def test_small_steps_upwards_do_not_count(tmp_path):
    rising = [0.1, 0.105, 0.11, 0.115, 0.12]
    stopping = EarlyStopping("AP", patience=3, min_delta=0.02)
    stopping.begin(trainer(tmp_path))
    assert stops_after(stopping, rising) == 40
    assert stops_after(EarlyStopping("AP", patience=3), rising) is None


def test_a_resumed_run_goes_on_counting(tmp_path):
    values = [0.2, 0.4, 0.1, 0.3]
    rows = [{"step": 10 * k, "loss": 1.0, "AP": v} for k, v in enumerate(values, start=1)]
    write_table(tmp_path, RESULTS_NAME, [{"step": 5, "loss": 2.0}, *rows])
    resumed = EarlyStopping("AP", patience=3)
    resumed.begin(trainer(tmp_path, step=40))
    assert resumed.should_stop() is None
    assert stops_after(resumed, [0.39], first=5) == 50
    # Rows after the checkpoint that the run goes on from do not count.
    earlier = EarlyStopping("AP", patience=3)
    earlier.begin(trainer(tmp_path, step=30))
    assert stops_after(earlier, [0.35, 0.39], first=4) == 50
    # A finished run says so before it trains another epoch.
    write_table(tmp_path, RESULTS_NAME, [*rows, {"step": 50, "AP": 0.39}])
    finished = EarlyStopping("AP", patience=3)
    finished.begin(trainer(tmp_path, step=50))
    assert "step 20" in finished.should_stop()


def test_evaluations_without_the_metric_do_not_count(tmp_path):
    stopping = EarlyStopping("AP", patience=1)
    stopping.begin(trainer(tmp_path))
    for step in range(5):
        stopping.evaluated(step, {}, None, report="", best=False)
    assert stopping.should_stop() is None
