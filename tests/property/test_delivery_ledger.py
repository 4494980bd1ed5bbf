"""Whatever a collector answers, in whatever order: every item is accounted for, and only the guilty ones are put aside."""

from __future__ import annotations

from itertools import count
from math import ceil, log2
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_callbacks.export.delivery.sending import Attempt
from otel_callbacks.export.items import Answer, Verdict
from tests.delivering import BAD, LARGE, SILENT, TAKEN, UNKNOWN, WRONG, World

ANSWERS = st.one_of(
    st.sampled_from([TAKEN, SILENT, BAD, WRONG, LARGE, UNKNOWN]),
    st.builds(
        Answer,
        st.sampled_from(Verdict),
        st.sampled_from(["", "said"]),
        st.none() | st.floats(0, 300),
        rejected=st.integers(0, 9),
        explicit=st.booleans(),
    ),
)


@given(st.data(), st.integers(1, 9), st.booleans())
def test_every_item_is_accounted_for_whatever_is_answered_in_whatever_order(
    data: st.DataObject, batch_items: int, dispensable: bool
) -> None:
    world = World(
        batch_items=batch_items,
        max_bytes=200,
        dispensable=dispensable,
        shorten=lambda item, most: item[:most] if data.draw(st.booleans()) else None,
    )
    names = count()
    for _ in range(data.draw(st.integers(1, 60))):
        match data.draw(st.sampled_from(["put", "begin", "answer", "wait", "hurry", "adopt"])):
            case "put":
                sizes = data.draw(st.lists(st.sampled_from([4, 30, 5_000, 2_000_000]), max_size=20))
                world.put(*(b"%d" % next(names) + b"." * size for size in sizes))
            case "adopt":
                world.store.adopt([b"%d" % next(names)])
            case "begin" if len(world.open) < 4:
                world.begin()
            case "answer" if world.open:
                world.finish(data.draw(st.integers(0, len(world.open) - 1)), data.draw(ANSWERS))
            case "wait":
                world.now_s += data.draw(st.floats(0, 60))
            case _:
                world.sending.hurry(world.now_s)
        assert world.ledger().balanced
    # It is well again, and takes everything.
    while world.open:
        world.finish()
    world.run()
    ledger = world.ledger()
    assert ledger.balanced
    assert ledger.waiting == 0
    assert world.sending.oldest is None
    assert not world.sending.release()


@given(
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.lists(st.sampled_from([None, None, None, SILENT, WRONG, "crowd"]), max_size=80),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_the_guilty_ones_are_put_aside_and_all_others_delivered_whatever_outages_there_are(
    items: list[bool], trouble: list[Answer | str | None], batch_items: int, random: Random
) -> None:
    """The collector refuses a request with a guilty item in it, and is away at times; several requests may be under way."""

    def collector(sent: list[bytes]) -> Answer:
        return BAD if any(item.startswith(b"guilty") for item in sent) else TAKEN

    world = World(collector, batch_items=batch_items)
    names = [b"%s %d" % (b"guilty" if guilty else b"good", number) for number, guilty in enumerate(items)]
    world.put(*names)
    for happens in trouble:
        step = world.begin()
        if not isinstance(step, Attempt) and not world.open:
            world.now_s = world.now_s if step is None else max(world.now_s, step)
            continue
        if happens == "crowd" or not world.open:
            continue
        world.finish(random.randrange(len(world.open)), happens if isinstance(happens, Answer) else None)
        assert world.ledger().balanced
    for number in range(200):  # what stands at an end needs another one, that is taken
        world.run(for_s=1)
        if not world.ledger().waiting:
            break
        world.put(b"good, later %d" % number)
        world.now_s += 1
    assert not world.ledger().waiting
    assert sorted(item for item, _ in world.store.buried) == sorted(
        name for name in names if name[:2] == b"gu"
    )
    assert sorted(name for name in names if name[:2] == b"go") == sorted(
        item for item in world.delivered if b"later" not in item
    )


@given(
    st.integers(1, 100),
    st.integers(1, 30),
    st.sets(st.integers(0, 99), max_size=4),
    st.integers(0, 150),
    st.booleans(),
)
def test_a_collector_that_refuses_everything_for_a_time_makes_nobody_guilty_who_is_not(
    number: int, batch_items: int, guilty: set[int], refused: int, too_big: bool
) -> None:
    world = World(lambda _sent: LARGE if too_big else BAD, batch_items=batch_items)
    names = [b"%d" % name for name in range(number)]
    world.put(*names)
    world.run(requests=refused)
    assert world.ledger().dead == 0
    assert world.ledger().waiting == number
    bad = {names[index] for index in guilty if index < number}
    world.collector = lambda sent: BAD if bad & set(sent) else TAKEN
    for more in range(100):
        world.run(for_s=100)
        if not world.ledger().waiting:
            break
        world.put(b"later %d" % more)
    assert {item for item, _ in world.store.buried} == bad
    assert world.ledger().delivered == world.ledger().accepted - len(bad)


@pytest.mark.parametrize("size", [16, 128, 512, 1_024])
@pytest.mark.parametrize("guilty", [1, 2, 5])
def test_guilty_items_cost_a_number_of_requests_that_grows_with_the_logarithm(size: int, guilty: int) -> None:
    random = Random(size * guilty)
    for _ in range(20):
        bad = {b"%d" % index for index in random.sample(range(1, size - 1), guilty)}
        world = World(lambda sent, bad=bad: BAD if bad & set(sent) else TAKEN, batch_items=size)  # type: ignore[misc]
        world.put(*(b"%d" % index for index in range(size)))
        world.run(for_s=1)
        assert {item for item, _ in world.store.buried} == bad
        assert len(world.requests) <= 4 + guilty * 2 * ceil(log2(size))
