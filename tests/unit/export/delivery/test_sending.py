"""What is sent next, and what an answer means for what was sent."""

from __future__ import annotations

from itertools import pairwise

import pytest

from otel_callbacks.export.delivery.sending import MOST_SUSPENDED_BYTES, Attempt, Event, Take
from otel_callbacks.export.items import Answer, Verdict
from tests.delivering import BAD, LARGE, SILENT, TAKEN, UNKNOWN, WRONG, World


def names(number: int, first: int = 0) -> list[bytes]:
    return [b"%d" % name for name in range(first, first + number)]


def refusing(*bad: bytes) -> World:
    return World(lambda sent: BAD if set(bad) & set(sent) else TAKEN, batch_items=8)


def test_the_same_batch_is_sent_again_until_it_is_taken() -> None:
    answers = iter([SILENT, WRONG, SILENT, TAKEN])
    world = World(lambda _sent: next(answers))
    world.put(*names(5))
    world.run()
    assert world.requests == [names(5)] * 4
    assert world.ledger().delivered == 5


def test_what_is_too_big_is_halved_until_it_is_taken() -> None:
    world = World(lambda sent: LARGE if len(sent) > 2 else TAKEN, batch_items=8)
    world.put(*names(8))
    world.run()
    assert world.delivered == names(8)
    assert [len(sent) for sent in world.requests] == [8, 4, 2, 2, 4, 2, 2]


def test_what_was_too_big_is_not_tried_again_with_every_batch() -> None:
    size = 100_000
    world = World(
        lambda sent: LARGE if sum(map(len, sent)) > 10 * size else TAKEN, batch_items=32, max_bytes=32 * size
    )
    for _ in range(10):
        world.put(*([b"." * size] * 32))
    world.run()
    refused = [sent for sent in world.requests if len(sent) > 10]
    assert len(refused) < 20  # of three hundred items
    assert len(world.delivered) == 320


def test_a_single_item_that_is_too_big_is_made_smaller_until_it_is_taken() -> None:
    world = World(
        lambda sent: LARGE if len(sent[0]) > 9_000 else TAKEN, shorten=lambda item, most: item[:most]
    )
    world.put(b"." * 70_000)
    world.run()
    assert [len(sent[0]) for sent in world.requests] == [70_000, 35_000, 17_500, 8_750]
    assert world.ledger().delivered == 1


def test_a_huge_item_that_cannot_be_made_smaller_is_put_aside_whole() -> None:
    world = World(lambda _sent: LARGE)
    world.put(b"." * 2_000_000)
    world.run()
    assert [(len(item), reason) for item, reason in world.store.buried] == [(2_000_000, "too_large")]
    assert not world.ledger().waiting


def test_a_small_item_that_is_too_big_for_a_collector_which_takes_no_other_is_not_its_own_fault() -> None:
    world = World(lambda _sent: LARGE, shorten=lambda _item, _most: pytest.fail("is small"))
    world.put(*names(20))
    world.run(for_s=600)
    assert world.ledger().waiting == 20


def test_a_shortened_item_is_sent_short_again_and_put_aside_whole() -> None:
    answers = iter([LARGE, SILENT, BAD])
    world = World(lambda _sent: next(answers, BAD), shorten=lambda item, most: item[:most])
    item = b"." * 4_000
    world.put(item)
    world.run(for_s=10)
    assert [len(sent[0]) for sent in world.requests] == [4_000, 2_000, 2_000]
    world.collector = lambda sent: TAKEN if sent == [b"good"] else BAD
    world.put(b"good")
    world.run(for_s=10)
    assert world.store.buried == [(item, "rejected")]


@pytest.mark.parametrize("bad", range(8))
def test_of_a_batch_with_one_bad_item_that_is_put_aside_and_the_others_are_delivered(bad: int) -> None:
    world = refusing(b"%d" % bad)
    world.put(*names(8))
    world.run(for_s=0)
    assert world.store.buried == [(b"%d" % bad, "rejected")]
    assert sorted(world.delivered) == sorted(set(names(8)) - {b"%d" % bad})
    assert world.news[-1].event is Event.DEAD
    assert world.news[-1].items == 1


def test_a_batch_whose_first_and_last_are_refused_waits_until_the_next_has_decided() -> None:
    world = refusing(b"0", b"7")
    world.put(*names(8))
    world.run(for_s=0)
    assert not world.store.buried
    assert world.requests == [names(8), [b"0"], [b"7"]]
    assert world.news[-1].event is Event.REFUSING
    world.put(b"8")
    world.run(for_s=0)
    assert sorted(item for item, _ in world.store.buried) == [b"0", b"7"]
    assert sorted(world.delivered) == [*names(6, 1), b"8"]
    assert Event.AGAIN in [news.event for news in world.news]


def test_a_single_item_is_guilty_only_when_another_is_taken() -> None:
    world = refusing(b"bad")
    world.put(b"bad")
    world.run(for_s=300)
    assert not world.store.buried
    world.put(b"good")
    world.run(for_s=60)
    assert world.store.buried == [(b"bad", "rejected")]


def test_a_batch_whose_ends_alone_are_bad_is_delivered_without_another() -> None:
    """Nothing else comes: others of the batch are asked first, another time."""
    world = refusing(b"0", b"7")
    world.put(*names(8))
    world.run(for_s=3_600)
    assert sorted(world.delivered) == names(6, 1)
    world.put(b"8")
    world.run(for_s=60)
    assert sorted(item for item, _ in world.store.buried) == [b"0", b"7"]


def test_the_items_that_were_refused_by_a_wrong_collector_are_delivered_when_it_is_right() -> None:
    world = World(lambda _sent: BAD, batch_items=8)
    world.put(*names(40))
    world.run(for_s=600)
    world.collector = lambda _sent: TAKEN
    world.run(for_s=600)
    assert world.ledger().delivered == 40
    assert not world.store.buried


def test_a_collector_that_becomes_wrong_in_the_middle_makes_nobody_guilty() -> None:
    for good in range(1, 8):
        world = World(lambda sent: BAD if b"5" in sent else TAKEN, batch_items=16)
        world.put(*names(16))
        world.run(for_s=0, requests=good)
        world.collector = lambda _sent: BAD
        world.run(for_s=600)
        world.collector = lambda sent: BAD if b"5" in sent else TAKEN
        for more in range(5):
            world.run(for_s=100)
            world.put(b"later %d" % more)
        world.run()
        assert [item for item, _ in world.store.buried] == [b"5"]
        assert world.ledger().delivered == 16 + 5 - 1


def test_only_so_much_is_kept_in_memory_of_what_is_refused() -> None:
    item = 1_000_000
    world = World(lambda _sent: BAD, batch_items=4, max_bytes=8 * item)
    for _ in range(100):
        world.put(b"." * item)
    world.run(for_s=100_000)
    kept = len(world.store.out) * item
    assert MOST_SUSPENDED_BYTES <= kept <= MOST_SUSPENDED_BYTES + 4 * item
    assert world.ledger().waiting == 100


def test_partial_success_is_counted_and_what_the_collector_says_is_told() -> None:
    world = World(lambda _sent: Answer(Verdict.DELIVERED, "too old", rejected=3))
    world.put(*names(5))
    world.run()
    ledger = world.ledger()
    assert (ledger.delivered, ledger.rejected) == (2, 3)
    assert [(news.event, news.message, news.items) for news in world.news] == [(Event.PARTIAL, "too old", 3)]


@pytest.mark.parametrize("rejected", [-4, 99])
def test_a_number_of_rejected_items_that_cannot_be_is_made_possible(rejected: int) -> None:
    world = World(lambda _sent: Answer(Verdict.DELIVERED, rejected=rejected))
    world.put(*names(5))
    world.run()
    assert world.ledger().rejected == (5 if rejected > 0 else 0)
    assert world.ledger().balanced


def test_a_request_of_which_nothing_was_kept_proves_nothing() -> None:
    world = World(lambda sent: Answer(Verdict.DELIVERED, rejected=1) if sent == [b"good"] else BAD)
    world.put(b"bad")
    world.run(for_s=0)
    world.put(b"good")
    world.run(for_s=60)
    assert not world.store.buried


@pytest.mark.parametrize("dispensable", [True, False])
def test_only_a_signal_that_is_dispensable_is_given_up_where_the_server_does_not_know_it(
    dispensable: bool,
) -> None:
    world = World(lambda _sent: UNKNOWN, dispensable=dispensable)
    world.put(*names(30))
    world.run(for_s=100)
    assert world.sending.refused is dispensable
    assert world.ledger().waiting == (0 if dispensable else 30)
    assert world.ledger().balanced
    assert world.ledger().dropped == ({"refused": 30} if dispensable else {})
    said = [news.event for news in world.news]
    assert said.count(Event.UNKNOWN_SIGNAL) == (1 if dispensable else 0)


def test_requests_that_are_under_way_when_a_signal_is_given_up_are_given_up_too() -> None:
    world = World(batch_items=1, dispensable=True)
    world.put(b"1", b"2", b"3")
    for _ in range(3):
        world.begin()
    world.finish(0, UNKNOWN)
    world.finish(0, SILENT)
    world.finish(0, UNKNOWN)
    assert world.ledger().dropped == {"refused": 3}
    assert [news.event for news in world.news] == [Event.UNKNOWN_SIGNAL]


def test_a_backlog_goes_in_bigger_batches_and_by_more_senders() -> None:
    world = World(batch_items=10)

    def size(waiting: int) -> int:
        step = world.sending.next(0.0, waiting, due=True)
        assert isinstance(step, Take)
        return step.items

    assert [size(waiting) for waiting in (1, 40, 80, 640, 10_000)] == [10, 10, 20, 160, 160]
    assert [world.sending.senders(waiting) for waiting in (1, 10, 20, 10_000)] == [1, 1, 2, 4]


def test_one_sender_keeps_the_order_whatever_is_answered() -> None:
    answers = iter([Answer(Verdict.RETRY, "away"), Answer(Verdict.TOO_BIG), TAKEN, Answer(Verdict.RETRY)])
    world = World(lambda _items: next(answers, TAKEN), batch_items=4, most_senders=1)
    world.put(*names(60))
    assert world.sending.senders(60) == 1
    while len(world.delivered) < 60:
        if isinstance(world.begin(), Attempt):
            world.finish()
        else:
            world.now_s += 60.0
    assert world.delivered == names(60)


def test_nothing_is_taken_before_it_is_due() -> None:
    world = World()
    step = world.sending.next(0.0, 5, due=False)
    assert not isinstance(step, (Attempt, Take))


def test_the_oldest_that_is_not_settled_is_known() -> None:
    world = World(batch_items=2)
    world.put(*names(6))
    for _ in range(3):
        world.begin()
    places: list[int | None] = [world.sending.oldest]
    for index, answer in ((1, TAKEN), (0, SILENT)):
        world.finish(index, answer)
        places.append(world.sending.oldest)
    assert places == [0, 0, 0]
    world.finish(0)
    world.now_s = 100
    world.begin()
    world.finish(0)
    assert world.sending.oldest is None


def test_what_is_here_is_released_in_its_order() -> None:
    world = World(lambda _sent: BAD, batch_items=2)
    world.put(*names(6))
    world.run(for_s=40, requests=7)
    while world.open:
        world.finish()
    released = [entry.item for entry in world.sending.release()]
    assert released
    assert all(int(first) // 2 <= int(second) // 2 for first, second in pairwise(released))
    assert world.sending.oldest is None
