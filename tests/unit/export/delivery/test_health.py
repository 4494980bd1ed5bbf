"""When a collector that is in trouble is asked again."""

from __future__ import annotations

import pytest

from otel_callbacks.export.delivery.sending import Attempt, Event
from otel_callbacks.export.items import Answer, Verdict
from tests.delivering import BAD, SILENT, TAKEN, WRONG, World

BUSY = Answer(Verdict.RETRY, "HTTP 503", explicit=True)


def waits_of(answer: Answer, number: int, seed: int = 0) -> list[float]:
    """Return how long is waited after each of so many answers in a row."""
    world = World(lambda _sent: answer, seed=seed)
    world.put(b"item")
    waits: list[float] = []
    for _ in range(number):
        assert isinstance(world.begin(), Attempt)
        world.finish()
        until_s = world.begin()
        assert isinstance(until_s, float)
        waits.append(until_s - world.now_s)
        world.now_s = until_s
    return waits


@pytest.mark.parametrize(("answer", "most_s"), [(SILENT, 5.0), (BUSY, 30.0)])
def test_waits_grow_from_half_a_second_to_a_bound_that_is_shorter_when_nobody_answers(
    answer: Answer, most_s: float
) -> None:
    waits = waits_of(answer, 12)
    assert 0.25 < waits[0] < 0.75
    assert waits[1] > waits[0]
    assert max(waits) <= most_s * 1.25
    assert min(waits[8:]) >= most_s * 0.75


def test_two_processes_do_not_wait_alike() -> None:
    assert waits_of(SILENT, 3, seed=1) != waits_of(SILENT, 3, seed=2)


def test_a_misconfiguration_is_tried_again_every_half_minute() -> None:
    assert all(20 < wait < 40 for wait in waits_of(WRONG, 5))


@pytest.mark.parametrize("asked_s", [0.0, 1.0, 7.0, 300.0])
def test_what_the_collector_asked_for_is_obeyed(asked_s: float) -> None:
    waits = waits_of(Answer(Verdict.RETRY, "HTTP 429", asked_s, explicit=True), 3)
    assert all(max(0.5, asked_s) <= wait <= max(0.5, asked_s) * 1.1 for wait in waits)


def test_a_wait_of_an_unreasonable_length_is_cut() -> None:
    assert max(waits_of(Answer(Verdict.RETRY, "", 1e308), 1)) < 400
    assert min(waits_of(Answer(Verdict.RETRY, "", -5.0), 1)) >= 0.5


@pytest.mark.parametrize("answer", [SILENT, BUSY, WRONG])
def test_whoever_is_waiting_for_a_flush_ends_a_wait_of_our_own(answer: Answer) -> None:
    world = World(lambda _sent: answer)
    world.put(b"item")
    world.begin()
    world.finish()
    world.sending.hurry(world.now_s)
    assert isinstance(world.begin(), Attempt)


def test_nobody_ends_a_wait_that_the_collector_has_asked_for() -> None:
    world = World(lambda _sent: Answer(Verdict.RETRY, "HTTP 429", 20.0, explicit=True))
    world.put(b"item")
    world.begin()
    world.finish()
    world.sending.hurry(world.now_s)
    until_s = world.begin()
    assert isinstance(until_s, float)
    assert until_s >= 20


def test_a_collector_that_comes_back_gets_one_request_and_then_all() -> None:
    world = World(batch_items=1)
    world.put(*(b"%d" % number for number in range(6)))
    first, second = world.begin(), world.begin()
    assert isinstance(first, Attempt)
    assert isinstance(second, Attempt)
    world.finish(0, SILENT)
    world.finish(0, SILENT)
    until_s = world.begin()
    assert isinstance(until_s, float)
    world.now_s = until_s
    assert isinstance(world.begin(), Attempt)
    assert world.begin() is None  # the probe is on its way
    world.finish(0, TAKEN)
    assert [isinstance(world.begin(), Attempt) for _ in range(3)] == [True, True, True]


def test_answers_to_requests_from_before_the_trouble_do_not_end_it_nor_make_it_longer() -> None:
    world = World(batch_items=1)
    world.put(b"1", b"2", b"3", b"4")
    for _ in range(3):
        world.begin()
    world.finish(0, Answer(Verdict.RETRY, "", 50.0))
    world.finish(0, TAKEN)
    world.finish(0, SILENT)
    until_s = world.begin()
    assert isinstance(until_s, float)
    assert 50 <= until_s <= 55
    world.now_s = until_s
    world.begin()
    world.finish(0, SILENT)
    again_s = world.begin()
    assert isinstance(again_s, float)
    assert again_s - until_s < 1.5  # the second failure in a row, not the third


def test_a_refusal_ends_the_trouble_as_well_for_somebody_has_answered() -> None:
    world = World(batch_items=4)
    world.put(b"1", b"2", b"3", b"4")
    world.begin()
    world.finish(0, SILENT)
    world.now_s = 1.0
    assert isinstance(world.begin(), Attempt)
    world.finish(0, BAD)
    assert isinstance(world.begin(), Attempt)
    assert [news.event for news in world.news] == [Event.UNAVAILABLE, Event.AGAIN]


def test_a_collector_that_refuses_two_batches_is_asked_slowly() -> None:
    world = World(lambda _sent: BAD, batch_items=4)
    world.put(*(b"%d" % number for number in range(100)))
    world.run(for_s=3_600)
    assert 10 < len(world.requests) < 600  # three each half minute
    assert world.ledger().waiting == 100


def test_no_wait_is_longer_for_one_thing_that_is_refused_among_others() -> None:
    world = World(lambda sent: BAD if b"bad" in sent else TAKEN, batch_items=4)
    for number in range(20):
        world.put(*([b"bad"] * (number % 5 == 0)), *(b"%d" % each for each in range(4)))
        world.run(for_s=0)
    assert world.now_s == 0
    assert world.ledger().dead == 4
    assert world.ledger().waiting == 0
