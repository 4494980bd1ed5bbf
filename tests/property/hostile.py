"""What an application may hand to a callback, at its worst; each made afresh, and what can be checked on it afterwards.

Rules for this file: nothing of it knows the handler. An object that counts says how often any of its code was run.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
import math
import pathlib
import threading
import types
import uuid
from collections import OrderedDict, UserDict, UserList, namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

CANARY: Final = "canary-7f3a"
"""Stands where nothing may be read: no span and no log line has it."""


class Hostile:
    """Raises from everything that Python calls behind one's back, and counts the calls."""

    calls = 0

    def _raise(self, *_: object) -> Any:
        type(self).calls += 1
        raise RuntimeError(CANARY)

    __str__ = __repr__ = __bool__ = __len__ = __eq__ = __hash__ = __iter__ = __next__ = _raise
    __int__ = __float__ = __index__ = __bytes__ = __contains__ = __getitem__ = __format__ = _raise
    __call__ = __enter__ = __await__ = keys = items = get = _raise
    __class__ = property(_raise)


def hostile(*bases: type) -> Any:
    """Return an object of a new class of its own, so that its count is its own."""
    kind: Any = types.new_class("Hostile", (Hostile, *bases))
    kind.calls = 0
    return kind.__new__(kind)


class HostileDict(dict[Any, Any]):
    """A dict whose every method raises; as a dict it holds something."""

    calls = 0

    def _raise(self, *_: object) -> Any:
        type(self).calls += 1
        raise RuntimeError(CANARY)

    __str__ = __repr__ = __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = _raise
    keys = items = values = get = copy = _raise


class HostileList(list[Any]):
    """A list whose every method raises; as a list it holds something."""

    calls = 0

    def _raise(self, *_: object) -> Any:
        type(self).calls += 1
        raise RuntimeError(CANARY)

    __str__ = __repr__ = __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = copy = _raise


class HostileError(Exception):
    """An exception that cannot be printed."""

    def __str__(self) -> str:
        raise RuntimeError(CANARY)


class LyingClass(Mapping[str, Any]):
    """Says that it is a dict, and is none."""

    __class__ = dict  # type: ignore[assignment]

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError(CANARY)

    def __len__(self) -> int:
        raise RuntimeError(CANARY)


class Colour(enum.Enum):
    RED = "red"
    BLUE = 7


class Word(enum.StrEnum):
    ONE = "one"


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError(CANARY)


class Secret:
    def __repr__(self) -> str:
        return CANARY


Point = namedtuple("Point", "x y")  # noqa: PYI024 - as applications have it


def cyclic_dict() -> dict[str, Any]:
    value: dict[str, Any] = {"a": 1}
    value["self"] = value
    return value


def cyclic_list() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


def nested(depth: int, kind: type = list) -> Any:
    value: Any = "core"
    for _ in range(depth):
        value = [value] if kind is list else {"in": value}
    return value


def shared() -> list[Any]:
    """Return a thousand million elements without a cycle."""
    value: list[Any] = ["x"] * 1_000
    for _ in range(3):
        value = [value] * 1_000
    return value


def coroutine() -> Any:
    async def body() -> None:
        await asyncio.sleep(0)

    return body()


def released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


Factory = Callable[[], Any]

# RELIABILITY rows 6 to 22: name -> a fresh one.
VALUES: Final[dict[str, Factory]] = {
    "none": lambda: None,
    "fifty megabytes of text": lambda: "x" * 50_000_000,
    "a million numbers": lambda: list(range(1_000_000)),
    "a hundred thousand keys": lambda: {f"key {number}": number for number in range(100_000)},
    "shared lists": shared,
    "lone surrogate": lambda: "a\ud800b",
    "lone surrogates inside": lambda: {"\udfff key": ["\ud800", {"\udc00": "\udbff"}]},
    "controls": lambda: "\0 \x1b[31m \x9b31m \u202e \u2028 \x07",
    "not a number": lambda: math.nan,
    "infinity": lambda: -math.inf,
    "not numbers inside": lambda: {"a": [math.nan, math.inf, -math.inf]},
    "beyond int64": lambda: 1 << 63,
    "far beyond int64": lambda: 1 << 100_000,
    "negative beyond int64": lambda: [-(1 << 63) - 1, 0],
    "bytes": lambda: b"\xff\x00",
    "many bytes": lambda: b"x" * 20_000_000,
    "bytearray": lambda: bytearray(b"abc"),
    "memoryview": lambda: memoryview(b"abcdef")[::2],
    "released memoryview": released,
    "cyclic dict": cyclic_dict,
    "cyclic list": cyclic_list,
    "lists 2,000 deep": lambda: nested(2_000),
    "dicts 2,000 deep": lambda: nested(2_000, dict),
    "odd keys": lambda: {1: 1, "1": 2, None: 3, (1, 2): 4, Colour.RED: 5, "": 6, "k" * 10_000: 7, b"b": 8},
    "cut keys": lambda: {"k" * 300 + str(number): number for number in range(2_000)},
    "hostile": hostile,
    "hostile inside": lambda: {"a": [hostile()], "b": (hostile(),)},
    "hostile dict": lambda: HostileDict(a=1),
    "hostile list": lambda: HostileList(["a"]),
    "liar": LyingClass,
    "secret": Secret,
    "class": lambda: Secret,
    "class with a metaclass": lambda: Mapping,
    "lambda": lambda: lambda: CANARY,
    "text subclass": lambda: Text("text"),
    "enum": lambda: Colour.BLUE,
    "string enum": lambda: Word.ONE,
    "named tuple": lambda: Point(1, "y"),
    "ordered dict": lambda: OrderedDict(a=1),
    "user dict": lambda: UserDict({"a": 1}),
    "user list": lambda: UserList([1]),
    "view of a dict": lambda: types.MappingProxyType({"a": 1}),
    "view of a liar": lambda: types.MappingProxyType(LyingClass()),
    "set": lambda: {"a"},
    "mixed list": lambda: [1, "a", None, 1.5, True],
    "generator": lambda: (number for number in range(3)),
    "iterator": lambda: iter([1, 2]),
    "lock": threading.Lock,
    "datetime": lambda: dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    "uuid": lambda: uuid.UUID(int=5),
    "decimal": lambda: decimal.Decimal("1.10"),
    "path": lambda: pathlib.Path("a/b"),
    "exception": lambda: HostileError(CANARY),
    "true": lambda: True,
    "empty text": lambda: "",
    "empty list": list,
    "blank": lambda: "\n\t ",
    "long name": lambda: "name\n" * 2_000,
}

# Too big to be passed a thousand times through everything: once in metadata is enough.
BIG: Final = frozenset(
    {"fifty megabytes of text", "a million numbers", "a hundred thousand keys", "many bytes", "shared lists"}
)


def calls(value: Any) -> int:
    """Return how often code of a hostile object was run, in it or one level below."""
    kind = type(value)
    if issubclass(kind, (Hostile, HostileDict, HostileList)):
        return int(kind.calls)
    if kind is dict:
        return sum(calls(item[0]) for item in value.values() if type(item) in (list, tuple))
    return 0


# LangChain itself asks these for their truth or their length, or iterates over them, when they are an input.
NOT_AN_INPUT: Final = frozenset(
    {
        "hostile",
        "hostile inside",
        "hostile dict",
        "hostile list",
        "liar",
        "view of a liar",
        "generator",
        "iterator",
    }
)
