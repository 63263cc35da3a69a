"""The words of a comparison, and what it is made on."""

import pytest

from efficientvision.errors import UserError
from efficientvision.evaluation.confidence import Difference, Interval
from efficientvision.runs import compare


def _text(interval, runs=(1, 1)):
    found = {"AP": Difference(0.546, 0.57, interval), "AP_/cat": Difference(0, 0, interval)}
    return str(compare.Comparison(87, runs, found, "AP"))


def test_the_verdict_in_words():
    clear, chance = _text(Interval(0.003, 0.046)), _text(Interval(-0.01, 0.046), (3, 3))
    assert "54.6   57.0        +2.4, +0.3 to +4.6" in clear and "cat" not in clear
    assert "AP: B is better by more than chance." in clear
    assert "one run: another seed may differ by more" in clear
    assert "may be chance" in chance and "3 and 3 seeds" in chance
    assert "87 photos (few" in chance


def test_of_several_seeds_each_best_checkpoint_is_taken(tmp_path):
    (tmp_path / "seeds.json").write_text('{"seeds": [4, 5], "best": "seed-1"}')
    for name in ("seed-0", "seed-1"):
        (tmp_path / name).mkdir()
    (tmp_path / "seed-1" / "best").touch()
    assert compare._models(str(tmp_path)) == [
        str(tmp_path / "seed-0"),
        str(tmp_path / "seed-1" / "best"),
    ]
    with pytest.raises(UserError, match="validation data of .* is unknown or gone: set `data`"):
        compare.compare(tmp_path, tmp_path)
