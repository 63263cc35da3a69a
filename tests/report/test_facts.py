"""How a run was started, on paper."""

import shlex

from efficientvision.report.facts import append_command, device_text


def test_every_start_is_added_and_can_be_typed_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "do-not-tell")
    first = ["python", "main.py", "--train_file_pattern=data/a b*.tfrecord", "--hparams=a=1,b='c'"]
    append_command(tmp_path, shlex.join(first), 0)
    append_command(tmp_path, "python main.py --num_epochs=9", 120)
    text = (tmp_path / "command.txt").read_text()
    commands = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert shlex.split(commands[0]) == first
    assert commands[1] == "python main.py --num_epochs=9"
    assert "the run starts" in text and "the run resumes from step 120" in text
    assert "TensorFlow 2" in text and "Python 3" in text
    assert "do-not-tell" not in text


def test_the_processor_is_named():
    assert len(device_text()) > 3 and "\n" not in device_text()
