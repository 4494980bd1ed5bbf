"""Values on the wire: what the official encoder refuses, drops or asks for its text."""

from __future__ import annotations

import enum
import sys
from collections import UserDict, UserList, deque
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValueList

from otel_callbacks.export.wire import values
from otel_callbacks.export.wire.protobuf import Heads
from otel_callbacks.export.wire.values import MAX_COLLECTED_BYTES, any_value, attributes, snapshot, text


def read(value: Any) -> Any:
    """The value as Python's own, after protobuf has parsed what was written."""
    return plain(AnyValue.FromString(any_value(value)))


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def pairs(found: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes after protobuf has parsed them."""
    parts: list[bytes] = []
    attributes(found, Heads(0x0A), parts)
    return {pair.key: plain(pair.value) for pair in KeyValueList.FromString(b"".join(parts)).values}


class Plain(enum.Enum):
    ONE = 1


class Text(str, enum.Enum):  # noqa: UP042 - what applications have
    ONE = "one"


class Number(enum.IntEnum):
    ONE = 1


class Secretive:
    """Whoever asks for its text finds out too much."""

    def __repr__(self) -> str:
        raise AssertionError("asked for its text")

    __str__ = __repr__


class Shouting(str):
    """A text that says something else when it is asked."""

    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError("asked for its text")

    def encode(self, *_: Any) -> bytes:
        raise AssertionError("asked for its bytes")


class Endless(Sequence[int]):
    """A sequence without an end, and without a length."""

    def __getitem__(self, index: Any) -> Any:
        return index

    def __len__(self) -> int:
        raise OverflowError


class Lookup(Mapping[str, int]):
    """A mapping that knows no more than it has to."""

    def __getitem__(self, key: str) -> int:
        return {"a": 1}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


class Broken(Mapping[str, int]):
    """A mapping that raises when it is read."""

    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


def name_of(cls: type) -> str:
    return f"<{cls.__module__}.{cls.__qualname__}>"


# Not parameters: pytest asks those for their texts.
ODD: list[tuple[Any, Any]] = [
        ("a\ud800b", "a\ufffdb"), ("\ud83d\ude00", "😀"), ("\ufeffa\ud800", "\ufeffa\ufffd"), ("é" * 600, "é" * 600),
        (2**63, str(2**63)), (-(2**63) - 1, str(-(2**63) - 1)), (-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1),
        (10**10_000, "<int of 33220 bits>"), (float("inf"), float("inf")), (-0.0, -0.0), (True, True), (None, None),
        (b"\xff", b"\xff"), (bytearray(b"x"), b"x"), (memoryview(b"x"), b"x"),
        (Text.ONE, "one"), (Number.ONE, 1), (Shouting("x"), "x"),
        (Plain.ONE, name_of(Plain)), ({1}, "<builtins.set>"), (Secretive(), name_of(Secretive)),
        (Secretive, "<builtins.type>"), (Endless(), name_of(Endless)), (Broken(), name_of(Broken)),
        (deque([1, "a"]), [1, "a"]), (UserList([1]), [1]), (UserDict({"a": 1}), {"a": 1}), (range(2), [0, 1]),
        (MappingProxyType({"a": [None]}), {"a": [None]}), (BoundedAttributes(2, {"a": 1}), {"a": 1}),
        ({True: "b", 2: "i", None: "n", 1.5: "f", "k\udc00": "s", Plain.ONE: "e", 2**64: "l"},
         {"True": "b", "2": "i", "None": "n", "1.5": "f", "k\ufffd": "s", name_of(Plain): "e", str(2**64): "l"}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ODD)))
def test_a_value_is_what_it_is_or_says_what_it_was(number: int) -> None:
    value, expected = ODD[number]
    found = read(value)
    assert (found, type(found)) == (expected, type(expected))
    assert pairs({"k": value}) == {"k": expected}


def test_the_sign_of_a_zero_stays() -> None:
    class Float(float):
        __slots__ = ()

    assert [str(read(value)) for value in (-0.0, Float(-0.0))] == ["-0.0", "-0.0"]


def test_cycles_and_deep_values_end_where_parsers_still_follow() -> None:
    branching: list[Any] = []
    branching += [branching, branching, branching]
    table: dict[str, Any] = {}
    table["itself"] = table
    deep: Any = "bottom"
    for _ in range(10 * sys.getrecursionlimit()):
        deep = [deep]
    for value in (branching, table, deep):
        data = any_value(value)
        assert len(data) <= MAX_COLLECTED_BYTES
        AnyValue.FromString(data)  # protobuf's parser gives up at 100 messages


def test_of_too_many_elements_the_first_are_kept_and_the_rest_is_counted() -> None:
    found = read(list(range(1_000_000)))
    assert found[:2] == [0, 1]
    assert len(found) < 20_000
    assert found[-1] == f"…[{1_000_000 - len(found) + 1} more]"
    many = read({str(key): key for key in range(1_000_000)})
    assert len(many) < 20_000
    assert many["…"] == f"…[{1_000_000 - len(many) + 1} more]"


def test_one_huge_text_is_whole_and_many_that_are_the_same_are_not() -> None:
    huge = "x" * (MAX_COLLECTED_BYTES + 1)
    assert read(huge) == huge
    assert read([huge, huge]) == [huge, "…[1 more]"]
    nested = [["x" * (MAX_COLLECTED_BYTES // 8)] * 3] * 3
    assert len(any_value(nested)) < MAX_COLLECTED_BYTES * 5 // 4


def test_a_nested_text_counts_once_however_deep_it_is() -> None:
    deep: Any = "x" * (MAX_COLLECTED_BYTES // 2)
    for _ in range(8):
        deep = [deep]
    found = read([deep, "after"])
    assert found[1] == "after"


def test_keys_are_texts_and_only_short_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(values, "_keys", kept)
    long = "k" * 1_000
    for _ in range(2):
        found = pairs({"a": 1, long: 2, "\ud800": 3, 7: 4, None: 5})
        assert found == {"a": 1, long: 2, "\ufffd": 3, "7": 4, "None": 5}
    assert set(kept) == {"a", "\ud800"}


def test_keys_that_are_kept_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(values, "_keys", kept)
    for number in range(10_000):
        assert pairs({f"langchain.metadata.{number}": number}) == {f"langchain.metadata.{number}": number}
    assert 0 < len(kept) <= 2_048


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 509, 510, 511, 512, 513, 20_000])
def test_every_length_of_text_is_read_back(size: int) -> None:
    assert pairs({"k": "x" * size, "l": ["x" * size], "m" * size: 1, "n": b"x" * size}) == {
        "k": "x" * size,
        "l": ["x" * size],
        "m" * size: 1,
        "n": b"x" * size,
    }


def test_a_snapshot_is_not_what_the_application_goes_on_changing() -> None:
    for found in ({"a": 1}, BoundedAttributes(2, {"a": 1}, immutable=False)):
        for given in (found, MappingProxyType(found)):
            taken = snapshot(given)
            found["b"] = 2
            assert dict(taken) == {"a": 1}
            del found["b"]
    for known in (UserDict({"a": 1}), Lookup()):
        assert snapshot(MappingProxyType(known)) == snapshot(known) == {"a": 1}
    assert snapshot(None) == {}


def test_a_text_is_made_of_whatever_is_given_for_one() -> None:
    given = ["a", None, 7, True, Shouting("s"), Secretive()]
    assert [text(one).decode() for one in given] == ["a", "", "7", "True", "s", name_of(Secretive)]
