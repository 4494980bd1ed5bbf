"""The format of a segment: what is read back is what was written, whatever became of the rest."""

from __future__ import annotations

import random
import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_callbacks.export.items import Origin
from otel_callbacks.export.spool.inspection import Inspection, inspect
from otel_callbacks.export.spool.segment import (
    ACK_SLOTS,
    HEAD_BYTES,
    HEADER_SLOTS,
    MAX_RANGES,
    PAGE,
    Ack,
    Gap,
    Header,
    Kind,
    Record,
    Unreadable,
    pack_ack,
    pack_origin,
    pack_page,
    pack_record,
    parse_ack,
    parse_header,
    parse_origin,
    records,
)
from tests.spools import ORIGIN, SALT, file_of, items_in, read_back

HEADER = Header("traces", "a-destination", 77, 1_700_000_000_000_000_000, SALT)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def inspected(data: bytes) -> Inspection | Unreadable:
    return inspect(lambda offset, size: data[offset : offset + size], len(data))


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_what_is_written_is_read_back(items: list[bytes]) -> None:
    assert items_in(file_of(items)) == items


def test_an_item_may_be_larger_than_what_is_read_at_once() -> None:
    items = [bytes(300_000), b"small", random.Random(1).randbytes(700_000), b""]
    assert items_in(file_of(items)) == items


def test_a_segment_cut_at_every_offset_gives_a_right_prefix() -> None:
    items = [b"%d " % number * (number % 7) for number in range(12)]
    data = file_of(items)
    ends = [each.end for each in read_back(data) if isinstance(each, Record) and each.kind == Kind.ITEM]
    for size in range(PAGE, len(data)):
        whole = sum(end <= size for end in ends)
        assert items_in(data[:size]) == items[:whole]
        found = inspected(data[:size])
        assert isinstance(found, Inspection)
        # What was cut short is nobody's loss: `put` had not returned.
        assert (found.readable, found.lost, found.damaged) == (whole, 0, False), size


def test_a_tail_of_zeros_is_no_damage() -> None:
    found = inspected(file_of([b"one"]) + bytes(9000))
    assert isinstance(found, Inspection)
    assert (found.readable, found.lost, found.damaged) == (1, 0, False)


def test_one_flipped_bit_costs_at_most_one_item_and_never_gives_a_wrong_one() -> None:
    items = [b"item %d" % number for number in range(8)]
    data = file_of(items)
    for bit in range(PAGE * 8, len(data) * 8):
        check_flipped(items, flipped(data, bit))


def test_one_flipped_bit_of_a_large_segment_costs_at_most_one_item() -> None:
    chance = random.Random(7)
    items = [chance.randbytes(chance.randrange(9000)) for _ in range(150)]
    data = file_of(items)
    for _ in range(500):
        check_flipped(items, flipped(data, chance.randrange(PAGE * 8, len(data) * 8)))


def check_flipped(items: list[bytes], data: bytes) -> None:
    left = items_in(data)
    assert len(left) >= len(items) - 1
    missing = next(
        (place for place, item in enumerate(items) if place >= len(left) or left[place] != item), None
    )
    assert missing is None or left == items[:missing] + items[missing + 1 :]
    found = inspected(data)
    assert isinstance(found, Inspection)
    assert found.readable == len(left)
    if (
        missing is None or missing < len(items) - 1
    ):  # of the last one, it may look like a write that was cut short
        assert found.readable + found.lost == len(items)


def test_one_flipped_bit_of_the_first_page_costs_nothing() -> None:
    data = file_of([b"one", b"two"])
    where, ack = pack_ack(Ack(1, PAGE, 0), SALT)
    data = data[:where] + ack + data[where + len(ack) :]
    for slot in (*HEADER_SLOTS, *ACK_SLOTS):
        for bit in range(slot * 8, (slot + 80) * 8):
            found = inspected(flipped(data, bit))
            assert isinstance(found, Inspection)
            assert found.readable == 2, bit


@pytest.mark.parametrize("changes", range(200))
def test_any_damage_gives_items_that_were_written_or_nothing(changes: int) -> None:
    chance = random.Random(changes)
    items = [chance.randbytes(chance.randrange(200)) for _ in range(20)]
    data = bytearray(file_of(items))
    for _ in range(changes):
        at = chance.randrange(len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            del data[at : at + chance.randrange(50)]
        elif kind == 2:
            data[at:at] = chance.randbytes(chance.randrange(50))
        else:
            data[at:at] = data[at : at + 300]
    assert set(items_in(bytes(data))) <= set(items)
    inspected(bytes(data))


def test_a_record_inside_of_an_item_is_not_believed() -> None:
    planted = b"".join(pack_record(Kind.ITEM, 0, 1, b"planted", SALT ^ 1))
    data = file_of([b"x" * 50 + planted, b"after"])
    outer = next(each for each in read_back(data) if isinstance(each, Record) and each.kind == Kind.ITEM)
    assert items_in(flipped(data, outer.start * 8)) == [b"after"]


def test_an_unknown_kind_is_passed_over() -> None:
    data = file_of([b"one"]) + b"".join(pack_record(99, 0, 0, b"future", SALT))
    assert [each.kind for each in read_back(data) if isinstance(each, Record)] == [1, 1, 2, 99]
    assert isinstance(found := inspected(data), Inspection)
    assert found.readable == 1


def test_the_header_says_whose_it_is() -> None:
    page = pack_page(HEADER)
    assert len(page) == PAGE
    assert parse_header(page) == HEADER
    assert parse_header(bytes(200) + page[200:]) == HEADER


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (b"", Unreadable.EMPTY),
        (pack_page(HEADER)[:-1], Unreadable.EMPTY),
        (bytes(PAGE), Unreadable.EMPTY),
        (b"\xff" * PAGE, Unreadable.CORRUPT),
        (b"\0" * 2000 + b"?" * (PAGE - 2000), Unreadable.CORRUPT),
    ],
)
def test_a_page_that_is_no_header_says_so(page: bytes, why: Unreadable) -> None:
    assert parse_header(page) is why


def test_the_header_of_another_version_is_known_as_such() -> None:
    page = bytearray(pack_page(HEADER))
    for slot in HEADER_SLOTS:
        page[slot + 8] = 2
    assert parse_header(bytes(page)) is Unreadable.OTHER_VERSION
    page[8] = 3
    assert parse_header(bytes(page)) is Unreadable.CORRUPT


@pytest.mark.parametrize("seed", range(50))
def test_any_page_is_taken_without_an_exception(seed: int) -> None:
    chance = random.Random(seed)
    page = bytearray(chance.randbytes(PAGE) if seed % 2 else pack_page(HEADER))
    for _ in range(seed):
        page[chance.choice((0, 512, 1024)) + chance.randrange(60)] = chance.randrange(256)
    assert parse_header(bytes(page)) in {HEADER, Unreadable.CORRUPT, Unreadable.OTHER_VERSION}
    assert parse_ack(bytes(page), SALT) == Ack()


def test_of_two_acknowledgements_the_newer_one_counts_and_the_older_one_if_that_is_damaged() -> None:
    page = bytearray(pack_page(HEADER))
    acks = [Ack(4, 5000, 3), Ack(5, 6000, 9, ((12, 14), (20, 21)))]
    for ack in acks:
        where, data = pack_ack(ack, SALT)
        page[where : where + len(data)] = data
    assert parse_ack(bytes(page), SALT) == acks[1]
    page[ACK_SLOTS[1] + 9] ^= 1
    assert parse_ack(bytes(page), SALT) == acks[0]
    page[ACK_SLOTS[0] + 9] ^= 1
    assert parse_ack(bytes(page), SALT) == Ack()
    assert parse_header(bytes(page)) == HEADER


def test_an_acknowledgement_has_room_for_so_many_ranges_and_leaves_the_next_slot_alone() -> None:
    ranges = tuple((number * 3, number * 3 + 1) for number in range(MAX_RANGES + 50))
    _, data = pack_ack(Ack(2, PAGE, 0, ranges), SALT)
    assert len(data) <= ACK_SLOTS[1] - ACK_SLOTS[0]
    assert parse_ack(bytes(ACK_SLOTS[0]) + data + bytes(PAGE), SALT).ranges == ranges[:MAX_RANGES]


def test_an_origin_is_read_back() -> None:
    origin = Origin(b"\x0a\x05hello" * 50, b"")
    data = pack_origin(9, origin, SALT)
    first, second = (each for each in _all(data) if isinstance(each, Record))
    assert first.payload == second.payload
    assert (parse_origin(first.payload), first.origin) == (origin, 9)


def _all(data: bytes) -> list[Record | Gap]:
    return list(records(lambda offset, size: data[offset : offset + size], 0, len(data), SALT))


def test_a_huge_length_with_right_checks_reads_no_further_than_the_file() -> None:
    asked: list[int] = []
    head, _, _ = pack_record(Kind.ITEM, 0, 1, b"", SALT)
    head = struct.pack("<4sIIHB", head[:4], 0xFFFFFFF0, 0, 1, 2)
    data = file_of([b"one"]) + head + struct.pack("<II", crc32(head, SALT), 0) + b"rest"

    def read(offset: int, size: int) -> bytes:
        asked.append(size)
        return data[offset : offset + size]

    found = list(records(read, PAGE, len(data), SALT))
    assert [each.payload for each in found if isinstance(each, Record)][2:] == [b"one"]
    assert isinstance(found[-1], Gap)
    assert max(asked) <= len(data)


def test_a_file_that_became_shorter_while_it_is_read_ends_there() -> None:
    data = file_of([b"one", b"two"])
    short = data[: -HEAD_BYTES // 2]
    found = list(records(lambda offset, size: short[offset : offset + size], PAGE, len(data) + 500, SALT))
    assert [each.payload for each in found if isinstance(each, Record) and each.kind == Kind.ITEM] == [b"one"]
    assert isinstance(found[-1], Gap)


def test_the_origin_of_the_tests_is_in_their_files() -> None:
    found = inspected(file_of([b"one"]))
    assert isinstance(found, Inspection)
    assert found.origins == {1: ORIGIN}
