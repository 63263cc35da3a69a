"""Bars on terminals, lines in files and pipes."""

import io

import pytest

from efficientvision import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    with progress.tqdm(total=2, desc="reading", unit="img", file=stream, mininterval=0) as bar:
        bar.update(2)
    assert "\r" in stream.getvalue() and "2/2" in stream.getvalue()


def test_a_pipe_gets_a_line_every_30_seconds_without_control_characters(clock):
    stream = io.StringIO()
    for _ in progress.tqdm(range(10), desc="reading", unit="img", file=stream):
        clock[0] += 10.0
    lines = stream.getvalue().splitlines()
    assert lines == [f"reading: {n}/10, 0.1 img/s, {left} left" for n, left in (
        (3, "01:10"), (6, "00:40"), (9, "00:10"),
    )]  # fmt: skip


def test_a_short_job_writes_nothing_into_a_pipe(clock):
    stream = io.StringIO()
    with progress.tqdm(desc="reading", file=stream) as bar:
        bar.set_description("still reading")
        bar.update(5)
        bar.set_postfix({"loss": 1})
    assert stream.getvalue() == "" and bar.n == 5
    assert progress.tqdm.write("a message", file=stream) is None
    assert stream.getvalue() == "a message\n"


def test_without_a_total_the_line_has_the_count(clock):
    stream = io.StringIO()
    bar = progress.tqdm(unit="img", file=stream)
    clock[0] += 60.0
    bar.update(120)
    assert stream.getvalue() == "120, 2.0 img/s\n"


def test_switched_off_nothing_is_written(clock, capsys):
    stream = io.StringIO()
    progress.show_progress(False)
    try:
        bar = progress.tqdm(total=9, file=stream)
        clock[0] += 60.0
        bar.update(5)
        progress.write_line("a line")
    finally:
        progress.show_progress(True)
    assert stream.getvalue() == "" == capsys.readouterr().err


def test_the_width_is_that_of_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "97")
    assert progress.columns(io.StringIO()) == 97
