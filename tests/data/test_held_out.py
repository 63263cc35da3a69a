"""Splits of a set: the same as ever without groups and classes, whole groups and even shares."""

import random
import re
from collections import Counter

import pytest

from efficientvision.data.held_out import describe_split, hold_out, part_prefixes
from efficientvision.errors import UserError


def test_a_plain_split_is_the_published_one():
    assert hold_out("abcdefghij", 0.3, 7) == (list("abdefgh"), list("cij"))
    assert hold_out(range(2), 0.01) in (([0], [1]), ([1], [0]))


def share(strata, val):
    totals = Counter(c for classes in strata for c in classes)
    held = Counter(c for k in val for c in strata[k])
    return {c: held[c] / totals[c] for c in totals}


def test_each_class_has_its_share():
    rng = random.Random(3)
    strata = [{c for c in "abcde" if rng.random() < 0.1 * (1 + ord(c) % 5)} for _ in range(1000)]
    train, val = hold_out(range(1000), 0.1, 1, strata=strata)
    assert sorted(train + val) == list(range(1000)) and len(val) == 100
    assert all(0.085 <= value <= 0.12 for value in share(strata, val).values())
    backgrounds = [k for k in range(1000) if not strata[k]]
    assert len(set(val) & set(backgrounds)) == pytest.approx(len(backgrounds) / 10, abs=3)


def test_seeds_differ_and_repeat():
    strata = [{k % 3} for k in range(100)]
    vals = [hold_out(range(100), 0.1, seed, strata=strata)[1] for seed in (0, 0, 1)]
    assert vals[0] == vals[1] != vals[2]


def test_a_rare_class_is_in_both_parts():
    strata = [{"common"}] * 95 + [{"common", "rare"}] * 2 + [{"common", "single"}] + [set()] * 2
    _, val = hold_out(range(100), 0.1, strata=strata)
    found = share(strata, val)
    assert len(val) == 10 and found["rare"] == 0.5 and found["single"] == 0


def test_rare_classes_leave_room_for_the_common_one():
    strata = [{k // 3} for k in range(90)] + [{"common"}] * 110
    _, val = hold_out(range(200), 0.1, strata=strata)
    assert len(val) == 20
    assert 9 <= sum(k >= 90 for k in val) <= 11 and max(share(strata, val).values()) < 0.4


def test_groups_stay_together():
    groups = [k // 4 for k in range(200)]
    train, val = hold_out(range(200), 0.1, 5, groups=groups, strata=[{k // 100} for k in groups])
    assert len(val) == 20
    assert not {groups[k] for k in train} & {groups[k] for k in val}


def test_a_large_group_does_not_become_the_val_part():
    groups = ["large"] * 60 + list(range(40))
    for seed in range(5):
        _, val = hold_out(range(100), 0.1, seed, groups=groups)
        assert len(val) == 10 and min(val) >= 60


def test_something_is_held_out_and_something_is_left():
    assert hold_out(range(10), 0.1, groups=[0] * 7 + [1] * 3)[1] == [7, 8, 9]
    for seed in range(9):
        train, val = hold_out(range(3), 0.6, seed, groups=[0, 1, 1])
        assert train and val


def test_one_group_alone_is_divided_and_told():
    train, val = hold_out(range(10), 0.2, groups=[0] * 10)
    assert (len(train), len(val)) == (8, 2)
    assert "both parts have copies" in describe_split(8, 2, [0] * 10, stratified=False)


def test_sentence():
    text = describe_split(900, 100, ["a", "a", "b", "b", "b", "c"], stratified=True)
    assert re.match(r"held out 100 of 1,000 photos .*\(10\.0%\), with about that share", text)
    assert "5 photos in 2 groups" in text
    assert "group" not in describe_split(9, 1, ["a", "b"], stratified=True)


def test_prefixes():
    parts = part_prefixes("abcd", "x/train", 0.5, 0, groups=[0, 0, 1, 1], strata=[()] * 4)
    assert list(parts) == ["x/train", "x/val"]
    assert sorted(parts.values()) == [["a", "b"], ["c", "d"]]
    assert part_prefixes("ab", "x/train", None, 0) == {"x/train": ["a", "b"]}
    with pytest.raises(UserError, match="between 0 and 1, got 1"):
        part_prefixes("ab", "x/train", 1.0, 0)
