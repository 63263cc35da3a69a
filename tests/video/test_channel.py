"""The queue between two threads: order, bound, ends and errors."""

import threading

import pytest

from efficientvision.video.channel import Cancelled, Channel


def produce(channel, items, error=None):
    def run():
        for item in items:
            channel.put(item)
        channel.finish(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_batches_keep_the_order_and_the_last_is_shorter():
    channel = Channel(2)
    produce(channel, range(7))
    assert list(channel.batches(3)) == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_full_channel_makes_the_producer_wait():
    channel = Channel(3)
    put = []
    fourth = threading.Event()

    def run():
        for item in range(4):
            channel.put(item)
            put.append(item)
        fourth.set()

    threading.Thread(target=run, daemon=True).start()
    assert not fourth.wait(0.3) and put == [0, 1, 2]
    assert next(channel.batches()) == [0]
    assert fourth.wait(10)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_producers_error_comes_after_its_items(size):
    channel = Channel(10)
    produce(channel, range(3), ValueError("broken"))
    taken = []
    with pytest.raises(ValueError, match="broken"):
        for batch in channel.batches(size):
            taken += batch
    assert taken == [0, 1, 2]


def test_a_waiting_producer_hears_that_the_consumer_has_gone():
    channel = Channel(1)
    heard = threading.Event()

    def run():
        try:
            while True:
                channel.put(0)
        except Cancelled:
            heard.set()

    threading.Thread(target=run, daemon=True).start()
    channel.cancel()
    assert heard.wait(10)


def test_stop_ends_a_consumer_that_waits_in_vain():
    asked = []

    def should_stop():
        asked.append(True)
        return len(asked) > 3

    channel = Channel(1)
    channel.put("left")
    assert list(channel.batches(2, should_stop)) == []


def test_instead_of_waiting_the_oldest_is_dropped():
    dropped = []
    channel = Channel(2, lambda oldest, following: dropped.append((oldest, following)))
    for item in range(5):
        channel.put(item)
    channel.finish()
    assert dropped == [(0, 1), (1, 2), (2, 3)]
    assert list(channel.batches()) == [[3], [4]]
